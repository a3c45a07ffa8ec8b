import { Browser, type Answer } from '../harness/browser.ts'
import { PEOPLE, type Person } from './realm.ts'

/** Fills in Keycloak's own login page, as a person would. @param until stops there; otherwise to the end of the redirects */
export const fillIn = (browser: Browser, page: Answer, person: Person, until?: (answer: Answer) => boolean): Promise<Answer> => {
  const action =
    /id="kc-form-login"[^>]*action="([^"]+)"/.exec(page.body)?.[1] ?? /action="([^"]+)"[^>]*id="kc-form-login"/.exec(page.body)?.[1]
  if (action === undefined) throw new Error(`no login form at ${page.url.pathname} (${page.status})`)
  const { username, password } = PEOPLE[person]
  return browser.navigate(action.replaceAll('&amp;', '&'), {
    method: 'POST',
    body: new URLSearchParams({ username, password, credentialId: '' }).toString(),
    from: page.url,
    ...(until && { until }),
  })
}
