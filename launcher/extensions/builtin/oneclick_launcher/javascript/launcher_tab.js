// The frame has the page only while the tab is shown: a browser has six connections a host, and the page keeps one.
onUiLoaded(() => {
    const frame = gradioApp().querySelector("#oneclick_frame");
    let shown = false;
    new ResizeObserver(() => {
        if (shown === frame.clientWidth > 0) return;
        shown = !shown;
        frame.contentWindow.location.replace(shown ? "/oneclick/" : "about:blank");
    }).observe(frame);
});
