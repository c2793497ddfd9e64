"""The one style sheet: of the panel, whose every part is a `.oneclick`, and of the pages, where the body is one."""

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
text-align:start}
html[theme=dark] .oneclick,body[data-jp-theme-light=false] .oneclick,body.vscode-dark .oneclick,
body[data-vscode-theme-kind=vscode-dark] .oneclick{DARK}
.oneclick *{box-sizing:border-box}
.oneclick.head{padding:14px 16px 6px;border:1px solid var(--line);border-bottom:0;border-radius:12px 12px 0 0}
.oneclick.head b{font-size:16px}.oneclick.head span{color:var(--soft);float:inline-end}
.oneclick.steps,.oneclick.told,.oneclick.card{padding:0 16px;border-inline:1px solid var(--line);display:flow-root}
.oneclick.foot{padding:8px 16px 12px;border:1px solid var(--line);border-top:0;border-radius:0 0 12px 12px;
color:var(--soft)}
.oneclick ol{list-style:none;margin:0;padding:0}
.oneclick li{display:flex;gap:10px;padding:6px 0;border-top:1px solid var(--line)}
.oneclick .icon{flex:none;width:1.3em;text-align:center;font-weight:700;color:var(--soft)}
.oneclick .done .icon{color:var(--good)}.oneclick .failed .icon{color:var(--bad)}
.oneclick .running .icon{color:var(--main)}
.oneclick .what{flex:1;min-width:0}.oneclick .what b{font-weight:600}
.oneclick .waiting b{color:var(--soft);font-weight:400}
.oneclick small,.oneclick .when{color:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
.oneclick small{display:block;overflow-wrap:anywhere}.oneclick .when{flex:none}
.oneclick progress{display:block;width:100%;height:8px;accent-color:var(--main)}
.oneclick .trouble{border:1px solid var(--bad);border-inline-start-width:5px;border-radius:8px;padding:10px 12px;
margin:8px 0}.oneclick .trouble>b:first-child{color:var(--bad)}
.oneclick .notice{border-inline-start:3px solid var(--main);padding:2px 10px;margin:8px 0;color:var(--ink)}
.oneclick .box{background:var(--tint);border-radius:10px;padding:14px;margin:10px 0}
.oneclick a{color:var(--main)}.oneclick a.also{font-weight:600}
.oneclick a.go{display:inline-block;background:var(--main);color:var(--on);font-weight:700;font-size:16px;
padding:10px 20px;border-radius:8px;text-decoration:none}
.oneclick a.go:focus-visible,.oneclick button:focus-visible,.oneclick input:focus-visible{
outline:3px solid var(--ink);outline-offset:2px}
.oneclick .field{display:flex;flex-wrap:wrap;align-items:center;gap:2px 12px;margin-top:10px}
.oneclick .field span{flex:0 0 4.8em;color:var(--soft)}
.oneclick .field div{flex:1 1 8em;min-width:0;overflow-wrap:anywhere}
@media(max-width:360px){.oneclick .field span{flex-basis:100%}}
.oneclick .facts{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center;justify-content:space-between;
margin-top:6px;font-size:12.5px}
.oneclick.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.oneclick details{margin:8px 0;color:var(--soft)}.oneclick summary{cursor:pointer}
.oneclick code{font:600 14px ui-monospace,monospace;color:var(--ink);background:none}
.oneclick button{font:inherit;font-size:12.5px;padding:3px 10px;border:1px solid var(--soft);border-radius:6px;
background:var(--box);color:var(--ink);cursor:pointer}
.page{margin:0;min-height:100vh;display:grid;place-items:center;padding:16px}
.oneclick.page{background:var(--paper);max-width:none;font-size:16px;color-scheme:light dark}
@media(prefers-color-scheme:dark){.oneclick.page,.page .oneclick{DARK}}
.page main{width:100%;max-width:27rem;background:var(--box);border:1px solid var(--line);border-radius:14px;
padding:28px}
.page h1{font-size:1.25rem;margin:0 0 4px}.page p{margin:0 0 16px;color:var(--soft)}.page .bad{color:var(--bad)}
.page .steps,.page .told{padding:0;border:0;background:none}
.page label{display:block;font-weight:600;margin:14px 0 4px}
.page input{width:100%;font:inherit;padding:10px 12px;border:1px solid var(--soft);border-radius:8px;
background:var(--box);color:var(--ink)}
.page button{width:100%;margin:20px 0 16px;font:inherit;font-weight:600;padding:11px;border:0;
background:var(--main);color:var(--on)}
""".replace("LIGHT", LIGHT).replace("DARK", DARK)
