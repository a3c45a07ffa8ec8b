import type { Answer } from '../answer.ts'
import { csp, hashSource, ownHeaders } from '../answer.ts'
import { escapeHtml } from './layout.ts'

/**
 * 200 + `Refresh`: the next request is same-origin and carries the Strict cookie, and so do later reloads; a 303 would stay cross-site
 * (browser-facts §2). Works without script, and a reload of the target is an ordinary reload.
 * @param to a validated path on our origin, printable ASCII
 */
export const refreshAnswer = (https: boolean, to: string): Answer => onward(https, to)

/**
 * The bounce of a deep link that came without the Strict cookie: to a fixed gateway path, never to its own URL (that hangs or loops).
 * The script keeps the fragment, which no server sees; without script the Refresh loses it and nothing else.
 */
export const bounceAnswer = (https: boolean, continuePath: string, to: string): Answer =>
  onward(https, `${continuePath}?to=${encodeURIComponent(to)}`, bounceScript(continuePath))

/** Constant for a gateway, hence a hash and no nonce. */
const bounceScript = (continuePath: string): string =>
  `location.replace('${continuePath}?to='+encodeURIComponent(location.pathname+location.search)+location.hash)`

/**
 * The step of the bounce that finds nobody signed in: on to the sign-in, which leads back to `to`. A redirect would lose the fragment at the provider;
 * the script tells it to the gateway, which keeps it sealed in `state`. The provider never sees it, and without script it is lost and nothing else.
 * @param loginUrl of ours, with `to` as its return-to
 */
export const signInAnswer = (https: boolean, loginPath: string, loginUrl: string): Answer =>
  onward(https, loginUrl, signInScript(loginPath))

/** Constant as well. A fragment that no return-to may hold (login/return-to.ts) would cost the page its path. */
const signInScript = (loginPath: string): string =>
  `{const h=location.hash,t=(new URLSearchParams(location.search).get('to')||'/')+h;if(h&&/^[!-[\\]-~]+$/.test(h)&&t.length<=1024)location.replace('${loginPath}?return_to='+encodeURIComponent(t))}`

/** @param script for what the server does not see; whoever has none follows the Refresh */
const onward = (https: boolean, to: string, script?: string): Answer => ({
  status: 200,
  headers: {
    ...ownHeaders(https, script === undefined ? undefined : csp(`script-src ${hashSource(script)}`)),
    'content-type': 'text/html; charset=utf-8',
    refresh: `0;url=${to}`,
  },
  body: document(`${script === undefined ? '' : `<script>${script}</script>`}<a href="${escapeHtml(to)}">Continue</a>`),
})

const document = (body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>One moment</title></head><body>${body}</body></html>\n`
