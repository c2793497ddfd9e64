"""The one style sheet: of the panel, whose parts are each a `.oneclick` in a frame, and of the pages, whose body is."""

from typing import Final

LIGHT: Final = (
    "--ink:#1d1d28;--paper:#f6f6fa;--box:#fff;--line:#d8d8e4;--soft:#5a5a6e;--main:#4a3fc9;--on:#fff;--bad:#b3261e;"
    "--good:#1b7a3d;--tint:#f1f0fb"
)
DARK: Final = (
    "--ink:#ececf4;--paper:#14141c;--box:#1f1f2b;--line:#45455a;--soft:#b4b4c6;--main:#a79fff;--on:#14141c;"
    "--bad:#ff9d95;--good:#7fd99b;--tint:#2a2a3d"
)
STYLE: Final = """
.oneclick{LIGHT;font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--box);max-width:46rem;
text-align:start;direction:ltr}
html[theme=dark] .oneclick,body[data-jp-theme-light=false] .oneclick,body.vscode-dark .oneclick,
body[data-vscode-theme-kind=vscode-dark] .oneclick{DARK}
.oneclick,.oneclick *{box-sizing:border-box}
.oneclick.frame{border:1px solid var(--line);border-radius:12px;padding:14px 16px 12px;overflow:hidden}
.oneclick.frame .widget-html,.oneclick.frame .widget-html-content{width:100%;margin:0;height:auto;line-height:1.5}
.oneclick.head{padding-bottom:6px}.oneclick.head b{font-size:16px}
.oneclick.head span{color:var(--soft);float:inline-end;font-variant-numeric:tabular-nums}
.oneclick.steps,.oneclick.told,.oneclick.card,.oneclick.job{display:flow-root}
.oneclick.foot,.oneclick.machine,.oneclick .about{color:var(--soft);overflow-wrap:anywhere}
.oneclick.foot{border-top:1px solid var(--line);margin-top:10px;padding-top:8px}
.oneclick.job{border-top:1px solid var(--line);padding-top:8px;margin-top:8px}
.oneclick ol{list-style:none;margin:0;padding:0}
.oneclick li{display:flex;gap:10px;padding:6px 0;border-top:1px solid var(--line)}
.oneclick .icon{flex:none;width:1.3em;text-align:center;font-weight:700;color:var(--soft)}
.oneclick .done .icon{color:var(--good)}.oneclick .failed .icon{color:var(--bad)}
.oneclick .running .icon{color:var(--main)}
.oneclick .what{flex:1;min-width:0;overflow-wrap:anywhere}.oneclick .what b{font-weight:600}
.oneclick .waiting b{color:var(--soft);font-weight:400}
.oneclick small,.oneclick .when{color:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
.oneclick small{display:block;overflow-wrap:anywhere}.oneclick .when{flex:none}
.oneclick progress{display:block;width:100%;height:8px;accent-color:var(--main)}
.oneclick .trouble{border:1px solid var(--bad);border-inline-start-width:5px;border-radius:8px;padding:10px 12px;
margin:8px 0;overflow-wrap:anywhere}.oneclick .trouble>b:first-child{color:var(--bad)}
.oneclick .notice{border-inline-start:3px solid var(--main);padding:2px 10px;margin:8px 0;color:var(--ink);
overflow-wrap:anywhere}
.oneclick .box{background:var(--tint);border-radius:10px;padding:14px;margin:10px 0}
.oneclick a{color:var(--main)}.oneclick a.also{font-weight:600}
.oneclick a.go{display:inline-block;background:var(--main);color:var(--on);font-weight:700;font-size:16px;
padding:10px 20px;border-radius:8px;text-decoration:none}
.oneclick a:focus-visible,.oneclick button:focus-visible,.oneclick input:focus-visible,.oneclick select:focus-visible,
.oneclick textarea:focus-visible,.oneclick summary:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
.oneclick .field{display:flex;flex-wrap:wrap;align-items:center;gap:2px 12px;margin-top:10px}
.oneclick .field span{flex:0 0 4.8em;color:var(--soft)}
.oneclick .field div{flex:1 1 8em;min-width:0;overflow-wrap:anywhere}
@media(max-width:360px){.oneclick .field span{flex-basis:100%}}
.oneclick .facts{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center;justify-content:space-between;
margin-top:6px;font-size:12.5px}.oneclick .facts span{flex:1 1 16em}
.oneclick.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.oneclick details{margin:8px 0;color:var(--soft)}.oneclick summary{cursor:pointer}
.oneclick code{font:600 14px ui-monospace,monospace;color:var(--ink);background:none}
.oneclick button,.oneclick.frame .jupyter-button{font:inherit;font-size:13px;width:auto;height:auto;padding:5px 12px;
border:1px solid var(--soft);border-radius:6px;background:var(--box);color:var(--ink);cursor:pointer;line-height:1.5;
box-shadow:none;white-space:normal;text-align:start}
.oneclick .field button{font-size:12.5px;padding:3px 10px}
.oneclick button:disabled{cursor:default}
.oneclick .fold button,.oneclick.frame .fold.jupyter-button{border-color:transparent;padding-inline:0;
background:none;color:var(--soft)}
.oneclick .first button,.oneclick.frame .first.jupyter-button{background:var(--main);color:var(--on);
border-color:var(--main);font-weight:600}
.oneclick textarea,.oneclick select,.oneclick input:not([type=checkbox]),.oneclick.frame textarea,
.oneclick.frame select,.oneclick.frame input:not([type=checkbox]){width:100%;font:inherit;padding:6px 10px;height:auto;
border:1px solid var(--soft);border-radius:8px;background:var(--box);color:var(--ink)}
.oneclick.frame .widget-inline-hbox{flex-direction:column;align-items:stretch;height:auto;margin:8px 0 0;
overflow:visible}
.oneclick.frame .widget-inline-hbox>*{flex:none}
.oneclick.frame .widget-label,.oneclick.frame .widget-label-basic{width:auto;max-width:none;height:auto;margin:0;
font:inherit;font-weight:600;color:var(--ink);text-align:start;line-height:1.6}
.oneclick.frame .widget-label-basic{display:flex;align-items:center;gap:8px}
.oneclick.frame .widget-label-basic input{flex:none}.oneclick .box small{margin-top:10px}
.oneclick.frame .jupyter-button{margin:4px 8px 4px 0}.oneclick.frame>.widget-vbox{margin:4px 0 0}
.oneclick textarea{min-height:4.2em;resize:vertical}
.page{margin:0;min-height:100vh;display:grid;place-items:center;padding:16px}
.oneclick.page{background:var(--paper);max-width:none;font-size:16px;color-scheme:light dark}
@media(prefers-color-scheme:dark){.oneclick.page,.page .oneclick{DARK}}
.page main{width:100%;max-width:27rem;background:var(--box);border:1px solid var(--line);border-radius:14px;
padding:28px;min-width:0}.page main.whole{max-width:46rem;padding:clamp(12px,4vw,28px)}
.page h1{font-size:1.25rem;margin:0 0 4px}.page p{margin:0 0 16px;color:var(--soft)}.page .bad{color:var(--bad)}
.page section{border-top:1px solid var(--line);margin-top:16px;padding-top:12px}
.page section:empty,.page section>p:empty{display:none}.page #back{margin-top:10px}
.page #jobs>:first-child .job{border-top:0;margin-top:0;padding-top:0}.page :disabled{opacity:.65}
.page form+p{margin-top:12px}.page h2{font-size:1rem;margin:0 0 8px}
.page .oneclick{background:none;font-size:15px}
.page label{display:block;font-weight:600;margin:14px 0 4px}
.page input:not([type=checkbox]),.page textarea,.page select{padding:10px 12px;font-size:16px}
.page form button{width:100%;margin:12px 0 0;font:inherit;font-weight:600;padding:11px;text-align:center}
.page .first button,.page main:not(.whole) button{border:0;background:var(--main);color:var(--on)}
.page .row{display:flex;flex-wrap:wrap;gap:0 10px}.page .row form{flex:1 1 10em}
.page.framed a.go{display:none}
.page #images{display:grid;grid-template-columns:repeat(auto-fill,minmax(88px,1fr));gap:8px}
.page #images h2,.page #images p{grid-column:1/-1;margin:0}
.page #images img{display:block;width:100%;aspect-ratio:1;object-fit:cover;border-radius:8px;background:var(--tint)}
@media(min-width:600px){.page main.whole form button{width:auto;padding-inline:20px}
.page .row form{flex:0 0 auto;max-width:100%}}
.page pre{white-space:pre-wrap;overflow-wrap:anywhere;color:var(--ink);font-size:13px}
.page #answer{position:fixed;inset:auto 12px 12px;margin:0 auto;max-width:46rem;padding:12px 16px;border-radius:10px;
background:var(--ink);color:var(--paper)}.page #answer:empty{display:none}
""".replace("LIGHT", LIGHT).replace("DARK", DARK)
