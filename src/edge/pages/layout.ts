import { csp, hashSource } from '../answer.ts'

/** For text and for quoted attributes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const STYLE = `:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--text:#1c2430;--quiet:#5a6573;--line:#dde1e7;--accent:#1f5fd0;--on-accent:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#12161c;--card:#1b212a;--text:#e8ecf2;--quiet:#9aa6b5;--line:#2c3541;--accent:#7fb0ff;--on-accent:#0d1420}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--text);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:2rem 2rem 1.5rem;box-shadow:0 1px 2px rgb(0 0 0/.06),0 12px 32px rgb(0 0 0/.07)}
.mark{width:2.25rem;height:2.25rem;color:var(--accent);display:block;margin:0 0 1rem}
h1{font-size:1.35rem;line-height:1.25;margin:0 0 .5rem;text-wrap:balance}
p{margin:0 0 1rem}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.5rem 0 0}
.actions a{display:inline-block;padding:.6rem 1.1rem;border-radius:9px;border:1px solid var(--accent);color:var(--accent);text-decoration:none;font-weight:600}
.actions a:first-child{background:var(--accent);color:var(--on-accent)}
.actions a:hover{text-decoration:underline}
a:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
footer{margin-top:1.75rem;padding-top:.9rem;border-top:1px solid var(--line);font-size:.8rem;color:var(--quiet)}
code{font:inherit;font-family:ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}`

/** Two doors, never open at the same time. Drawn here so that the page loads nothing. */
const MARK =
  '<svg class="mark" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M4 21V8l8-5 8 5v13"/><path d="M9 21v-9h6v9"/><path d="M12 12v9"/></svg>'

export interface Action {
  readonly label: string
  /** A path on our origin, already validated. */
  readonly href: string
}

export interface PageContent {
  readonly title: string
  readonly text: string
  readonly actions: readonly Action[]
  readonly requestId: string
}

/** Small, without script, readable by a screen reader in one breath; the request id is the only detail it gives away. */
export const page = (content: PageContent): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(content.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${MARK}
<h1>${escapeHtml(content.title)}</h1>
<p>${escapeHtml(content.text)}</p>
${actionList(content.actions)}<footer>Request <code>${escapeHtml(content.requestId)}</code></footer>
</main>
</body>
</html>
`

const actionList = (actions: readonly Action[]): string =>
  actions.length === 0
    ? ''
    : `<div class="actions">${actions.map(({ href, label }) => `<a href="${escapeHtml(href)}">${escapeHtml(label)}</a>`).join('')}</div>\n`

/** The page's only style is named by its hash, so that nothing injected would ever apply. */
export const PAGE_POLICY = csp(`style-src ${hashSource(STYLE)}`)
