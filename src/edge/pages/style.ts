import { readableAs, readableOn } from './accent.ts'

const LIGHT = { ground: '#f4f5f7', card: '#ffffff', accent: '#1f5fd0', fill: '#1f5fd0', onFill: '#ffffff' }
const DARK = { ground: '#12161c', card: '#1b212a', accent: '#7fb0ff', fill: '#7fb0ff', onFill: '#0d1420' }

/** @param accent `#rrggbb`, the operator's; buttons are filled with it as it is */
export const pageStyle = (accent: string | undefined): string => {
  const fill = accent !== undefined && { fill: accent, onFill: readableOn(accent) }
  const light = { ...LIGHT, ...fill, ...(accent !== undefined && { accent: readableAs(accent, [LIGHT.card, LIGHT.ground], '#000000') }) }
  const dark = { ...DARK, ...fill, ...(accent !== undefined && { accent: readableAs(accent, [DARK.card, DARK.ground], '#ffffff') }) }
  const colours = (of: typeof LIGHT): string =>
    `--ground:${of.ground};--card:${of.card};--accent:${of.accent};--fill:${of.fill};--on-fill:${of.onFill}`
  return `:root{color-scheme:light dark;${colours(light)};--text:#1c2430;--quiet:#5a6573;--line:#dde1e7}
@media (prefers-color-scheme:dark){:root{${colours(dark)};--text:#e8ecf2;--quiet:#9aa6b5;--line:#2c3541}}
${REST}`
}

const REST = `*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--text);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:2rem 2rem 1.5rem;box-shadow:0 1px 2px rgb(0 0 0/.06),0 12px 32px rgb(0 0 0/.07)}
.brand{display:flex;align-items:center;gap:.75rem;margin:0 0 1rem;font-weight:600;overflow-wrap:anywhere}
.mark{width:2.25rem;height:2.25rem;color:var(--accent);display:block;flex:none}
.logo{max-width:12rem;max-height:3.5rem;display:block}
h1{font-size:1.35rem;line-height:1.25;margin:0 0 .5rem;text-wrap:balance}
p{margin:0 0 1rem}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.5rem 0 0}
.actions a{display:inline-block;padding:.6rem 1.1rem;border-radius:9px;border:1px solid var(--accent);color:var(--accent);text-decoration:none;font-weight:600}
.actions a:first-child{background:var(--fill);color:var(--on-fill)}
.actions a:hover{text-decoration:underline}
.entries{list-style:none;margin:1.25rem 0 0;padding:0}
.entries li{display:flex;flex-wrap:wrap;gap:.75rem;align-items:center;justify-content:space-between;padding:.9rem 0;border-top:1px solid var(--line)}
.entries h2{font-size:1rem;margin:0 0 .2rem}
.entries p{margin:0;font-size:.85rem;color:var(--quiet)}
.entries button{font:inherit;font-size:.9rem;font-weight:600;padding:.45rem .9rem;border-radius:9px;border:1px solid var(--accent);background:none;color:var(--accent);cursor:pointer}
.entries button:hover{text-decoration:underline}
.support{margin:1.25rem 0 0;font-size:.9rem}
.support a{color:var(--accent)}
a:focus-visible,button:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
footer{margin-top:1.75rem;padding-top:.9rem;border-top:1px solid var(--line);font-size:.8rem;color:var(--quiet)}
code{font:inherit;font-family:ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
footer code{font-size:.75rem}`
