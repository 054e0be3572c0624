"""The page: one card that says how far the request came, and who stood in its way if somebody did."""

import html
from typing import Any

from kuma.apps.demo import serving

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2230; --soft: #667085; --paper: #f5f6f8; --card: #fff; --line: #dfe3ea;
  --good: #14804a; --good-soft: #e5f5ec; --bad: #b42318; --bad-soft: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf1; --soft: #98a2b3; --paper: #12151c; --card: #1b202a;
  --line: #2c3340; --good: #5bd08f; --good-soft: #15301f; --bad: #ff8a7a; --bad-soft: #3a1a17; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: min(44rem, 100%); background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 2rem; }
h1 { margin: 0 0 .25rem; font-size: 1.35rem; }
p { margin: .5rem 0; color: var(--soft); }
.count { font-size: 4rem; line-height: 1.1; font-weight: 650; font-variant-numeric: tabular-nums; margin: 1rem 0 0; }
.verdict { margin: 1rem 0; padding: .75rem 1rem; border-radius: 10px; font-weight: 550; }
.good { color: var(--good); background: var(--good-soft); }
.bad { color: var(--bad); background: var(--bad-soft); }
ol { list-style: none; display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; margin: 1.25rem 0 0; }
li { flex: 1 1 9rem; border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem; min-width: 0; }
li.stopped { border-color: var(--bad); }
li b { display: block; }
li span { display: block; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
code { font-size: .9em; }
"""
_SCRIPT = """
let shown = document.body.dataset.status;
setInterval(async () => {
  try {
    const answer = await fetch("/status");
    const now = await answer.json();
    const count = document.querySelector(".count");
    if (String(answer.status) !== shown) { location.reload(); return; }
    if (count && now.count !== undefined) count.textContent = now.count;
  } catch (gone) { /* the demo was stopped: keep showing what was */ }
}, 1500);
"""
_SERVICES = ("web", "api", "counter")
_VERBS = {serving.UNREACHABLE: "did not answer", serving.BROKEN_OFF: "closed the connection"}


def render(found: dict[str, Any] | serving.Trouble) -> serving.Reply:
    """The page for the outcome of one call, with the status that the way through the mesh ended with."""
    if isinstance(found, serving.Trouble):
        return serving.Reply(found.status, _document(str(found.status), _trouble(found)))
    return serving.Reply(serving.OK, _document(str(serving.OK), _success(found)))


def _success(found: dict[str, Any]) -> str:
    seen = {str(each.get("name")): each for each in found.get("path", [])}
    steps = [_step("web", "shows this page", "")]
    for name in _SERVICES[1:]:
        each = seen.get(name, {})
        caller = str(each.get("caller") or "")
        steps.append(_step(name, f"answered at {each.get('address') or '?'}", f"called by {caller}" if caller else ""))
    return (
        f'<div class="count">{html.escape(str(found.get("count", "?")))}</div><p>views of this page</p>'
        '<div class="verdict good">Everybody on the way was allowed to ask.</div>'
        f"<ol>{''.join(steps)}</ol>"
    )


def _trouble(trouble: serving.Trouble) -> str:
    stopped_at = _SERVICES.index(trouble.callee) if trouble.callee in _SERVICES else len(_SERVICES)
    verb = _VERBS.get(trouble.status, "refused")
    steps = []
    for position, name in enumerate(_SERVICES):
        if name == trouble.callee:
            steps.append(_step(name, verb, trouble.reason, stopped=True))
        else:
            steps.append(_step(name, "asked" if position < stopped_at else "was never asked", ""))
    sentence = html.escape(f"{trouble.status}: {trouble}")
    return f'<div class="verdict bad">{sentence}</div><ol>{"".join(steps)}</ol>'


def _step(name: str, note: str, extra: str, stopped: bool = False) -> str:
    mark = ' class="stopped"' if stopped else ""
    last = f"<span>{html.escape(extra)}</span>" if extra else ""
    return f"<li{mark}><b>{html.escape(name)}</b><span>{html.escape(note)}</span>{last}</li>"


def _document(status: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Kuma demo</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{_STYLE}</style></head><body data-status="{status}"><main>'
        "<h1>Kuma demo</h1><p><code>web</code> asks <code>api</code>, which asks <code>counter</code>: "
        "each call goes through two sidecars, over mutual TLS.</p>"
        f"{content}</main><script>{_SCRIPT}</script></body></html>"
    )
