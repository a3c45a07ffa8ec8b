import type { MySession } from '../../contract/session-view.ts'
import type { PageContent } from './layout.ts'

/** Each with a button of its own. Times are UTC: the page has no script that could know better. */
export const mySessionsPage = (requestId: string, sessions: readonly (MySession & { readonly endPath: string })[]): PageContent => ({
  title: 'Where you are signed in',
  text: sessions.length === 1 ? 'Only in this browser.' : 'If you do not recognise one of these, sign it out.',
  entries: sessions.map((one) => ({
    heading: one.current ? `${one.browser} (this browser)` : one.browser,
    lines: [
      `Signed in ${timeOf(one.created_at)}`,
      `Last used ${timeOf(one.last_seen_at)}`,
      ...(one.address === '' ? [] : [`From ${one.address}`]),
    ],
    button: { label: 'Sign out', describes: `${one.browser}, last used ${timeOf(one.last_seen_at)}`, action: one.endPath },
  })),
  actions: [{ label: 'Go to the start page', href: '/' }],
  requestId,
})

const timeOf = (iso: string): string => `${iso.slice(0, 16).replace('T', ' ')} UTC`
