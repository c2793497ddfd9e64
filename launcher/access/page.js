// Draws the page anew where it stands, and only what changed: one that is loaded again loses a screen reader's place and
// what was typed. In place of the web UI it gives way once that answers; on its own address it stays while the web UI
// restarts, and then leads back to it, not before: leaving would take back what is being asked. While a button is held
// down nothing is drawn: a press on one that goes meanwhile is lost.
const own = location.pathname === "/oneclick/";
const main = document.querySelector("main");
const answer = document.getElementById("answer");
const AWAY = "The launcher does not answer. Try again in a moment. If that does not help, the link may have changed: "
    + "the notebook shows the new one.";
const OFF = "Everything is off, and so is this link. Press ▶ in the notebook to start again.";
const opened = {}; // what a person has folded or unfolded
const now = () => document.getElementById("now").dataset;
const busy = () => /^(re)?starting$/.test(now().state);
const typing = () => [...document.querySelectorAll("textarea")].some((text) => text.value);
let went = busy(), held = false, letting = 0, lost = false;
document.body.classList.toggle("framed", top !== self); // the web UI, which it would open, is around it

addEventListener("pointerdown", () => { clearTimeout(letting); held = true; });
for (const name of ["pointerup", "pointercancel"]) {
    addEventListener(name, () => { letting = setTimeout(() => { held = false; }); }); // after the click
}

// Make an element what it is in the page that came. What has parts, each with an id, keeps those that are the same.
function put(old, made) {
    if (old.isEqualNode(made)) return;
    if (!("parts" in made.dataset)) return old.replaceWith(made);
    if (made.localName === "details") old.open = made.open;
    const before = new Map([...old.children].map((part) => [part.id, part]));
    [...made.children].forEach((part, i) => {
        const there = before.get(part.id);
        before.delete(part.id);
        if (old.children[i] !== there || !there) old.insertBefore(there || part, old.children[i] || null);
        if (there) put(there, part);
    });
    for (const part of before.values()) part.remove();
}

function say(text, is_lost = false) {
    answer.textContent = text;
    lost = is_lost;
}

async function draw(anew) {
    let response;
    try {
        const address = own && !anew ? `?after=${encodeURIComponent(now().version)}` : location.href;
        response = await fetch(address, {headers: {Accept: "text/html"}});
    } catch {
        response = {status: 502};
    }
    // A share server says 404 by itself while the connection behind it is lost: its page would stay.
    const itsOwn = response.status === 404 && !response.headers.has("Content-Security-Policy");
    if (!itsOwn && (own ? response.status === 401 : response.status < 500)) return location.reload();
    const away = response.status >= 400 && (own || response.status !== 503);
    if (away) return say(now().state === "stopping" ? OFF : AWAY, true);
    if (lost) say("");
    if (response.status === 204) return; // nothing has changed
    const text = await response.text();
    const made = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    if (held || !made?.querySelector("#now")) return;
    for (const part of made.querySelectorAll("details[id]")) part.open = opened[part.id] ?? part.open;
    put(main, made);
    went ||= busy();
    if (own && went && now().state === "ready" && !typing()) top.location.replace("/");
}

document.addEventListener("click", async (event) => {
    const fold = event.target.closest("summary")?.parentElement;
    if (fold) opened[fold.id] = !fold.open;
    const copy = event.target.closest("button[data-copy]");
    if (!copy) return;
    const source = document.querySelector(copy.dataset.copy);
    getSelection().selectAllChildren(source);
    if (!document.execCommand("copy")) await navigator.clipboard.writeText(source.textContent);
    say("Copied.");
});

// Fields that are as they were are not sent.
function asked(form) {
    const body = JSON.parse(form.dataset.body);
    const fields = form.dataset.into ? body[form.dataset.into] = {} : body;
    for (const field of form.elements) {
        const value = {checkbox: field.checked, number: Number(field.value)}[field.type] ?? field.value;
        if (field.name && String(value) !== field.dataset.was) fields[field.name] = value;
    }
    return JSON.stringify(body);
}

document.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, {path, method, confirm: question} = form.dataset;
    if (question && !confirm(question)) return;
    say("");
    try {
        const headers = {"Content-Type": "application/json", "X-Oneclick": "1"};
        const response = await fetch(`/oneclick/api${path}`, {method, headers, body: asked(form)});
        if (response.ok) form.reset();
        else {
            const {what, do: remedy = ""} = await response.json();
            say(`${what} ${remedy}`.replaceAll("**", ""));
        }
    } catch {
        say(AWAY);
    }
    await draw(true);
});

(async () => {
    for (;;) {
        await new Promise((done) => setTimeout(done, 1000));
        if (!document.hidden) await draw(document.querySelector("main .running"));
    }
})();
