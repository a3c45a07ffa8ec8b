import type { DevUser } from './provider.ts'

/** The embedded provider's few pages. Looks unlike the frontend on purpose: signing in happens somewhere else. */
export const signInPage = (users: readonly DevUser[], hint: string): string =>
  page(
    'Sign in',
    `<p>This is the demo's identity provider. There are no passwords: pick who you are.</p>
<form method="post">${users
      .map(
        (user) =>
          `<button name="user" value="${escape(user.subject)}"${user.subject === hint ? ' autofocus' : ''}><strong>${escape(user.name)}</strong><span>${escape(user.email)}</span></button>`,
      )
      .join('')}<button name="user" value="" class="quiet">Cancel</button></form>`,
  )

export const logoutPage = (form: string): string =>
  page(
    'Sign out',
    `<p>Sign out of the identity provider too?</p>${form}<button form="op.logoutForm" name="logout" value="yes" autofocus>Yes, sign me out</button><button form="op.logoutForm" class="quiet">No, stay signed in there</button>`,
  )

export const signedOutPage = (): string => page('Signed out', '<p>You are signed out of the identity provider.</p>')

export const errorPage = (code: string): string =>
  page('That did not work', `<p>The identity provider answered <code>${escape(code)}</code>.</p>`)

const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${title} · demo identity provider</title>
<style>
:root{color-scheme:light dark;--ink:#1d2330;--paper:#fff;--wash:#e9e4f5;--edge:#c9bfe6;--accent:#5b3fa8}
@media (prefers-color-scheme:dark){:root{--ink:#ece9f6;--paper:#241f33;--wash:#15121f;--edge:#463b68;--accent:#b7a2f5}}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--wash);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{box-sizing:border-box;width:min(26rem,92vw);padding:2rem;background:var(--paper);border:1px solid var(--edge);border-radius:12px}
h1{margin:0 0 .5rem;font-size:1.4rem}small{color:var(--accent);letter-spacing:.06em;text-transform:uppercase;font-size:.75rem}
button{display:flex;justify-content:space-between;gap:1rem;width:100%;margin:.6rem 0 0;padding:.8rem 1rem;border:1px solid var(--edge);border-radius:8px;background:transparent;color:inherit;font:inherit;cursor:pointer}
button:hover,button:focus-visible{border-color:var(--accent);outline:2px solid var(--accent);outline-offset:1px}
button.quiet,button[name=logout]{justify-content:center}button.quiet{border-style:dashed}span{opacity:.75}
</style></head><body><main><small>Demo identity provider</small><h1>${title}</h1>${body}</main></body></html>`
