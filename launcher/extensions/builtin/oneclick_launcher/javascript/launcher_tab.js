// The frame has the page only while the tab is shown: nobody asks for what nobody sees.
onUiLoaded(() => {
    const frame = gradioApp().querySelector("#oneclick_frame");
    let shown = false;
    new ResizeObserver(() => {
        if (shown === frame.clientWidth > 0) return;
        shown = !shown;
        frame.contentWindow.location.replace(shown ? "/oneclick/" : "about:blank");
    }).observe(frame);
});
