import { escapeHtml, htmlReply, type Reply } from '../core-exchange.ts'
import type { Realm } from './realm.ts'

const page = (title: string, body: string, status = 200): Reply =>
  htmlReply(`<!DOCTYPE html><html lang="en"><head><title>${escapeHtml(title)}</title></head><body>${body}</body></html>`, status)

/** What people see where the client cannot be told, or must not be. */
export const errorPage = (message: string, status = 400): Reply =>
  page('We are sorry...', `<h1>We are sorry...</h1><p id="kc-error-message">${escapeHtml(message)}</p>`, status)

const action = (realm: Realm, name: string, sessionCode: string): string =>
  escapeHtml(`${realm.base}/realms/${realm.settings.name}/login-actions/${name}?session_code=${sessionCode}&execution=e&tab_id=t`)

/** The names of form and fields are Keycloak's own: what signs in here signs in there. */
export const loginPage = (realm: Realm, sessionCode: string, level: number, username?: string, message?: string): Reply =>
  page(
    `Sign in to ${realm.settings.name}`,
    `<form id="kc-form-login" action="${action(realm, 'authenticate', sessionCode)}" method="post">` +
      (message === undefined ? '' : `<span id="input-error">${escapeHtml(message)}</span>`) +
      `<input id="username" name="username" value="${escapeHtml(username ?? '')}" type="text"><input id="password" name="password" type="password">` +
      (level > 1 ? '<input id="otp" name="otp" type="text">' : '') +
      '<button name="login" id="kc-login" type="submit">Sign In</button></form>',
  )

export const consentPage = (realm: Realm, sessionCode: string, client: string, scopes: readonly string[]): Reply =>
  page(
    `Grant Access to ${client}`,
    `<form class="form-actions" action="${action(realm, 'consent', sessionCode)}" method="post"><ul>` +
      scopes.map((scope) => `<li>${escapeHtml(scope)}</li>`).join('') +
      '</ul><button name="accept" value="Yes">Yes</button><button name="cancel" value="No">No</button></form>',
  )

export const logoutPage = (realm: Realm, sessionCode: string): Reply =>
  page(
    'Logging out',
    `<p>Do you want to log out?</p><form class="form-actions" action="${escapeHtml(
      `${realm.base}/realms/${realm.settings.name}/protocol/openid-connect/logout/logout-confirm?session_code=${sessionCode}`,
    )}" method="post"><input name="confirmLogout" type="submit" value="Logout"></form>`,
  )

/** One frame per application, then on. */
export const frontchannelPage = (frames: readonly string[], next: string | undefined): Reply =>
  page(
    'Logging out',
    `<p>You are logging out from following apps</p>${frames.map((url) => `<iframe src="${escapeHtml(url)}" style="display:none"></iframe>`).join('')}` +
      (next === undefined ? '' : `<a id="continue" href="${escapeHtml(next)}">Continue</a>`),
  )

export const loggedOutPage = (): Reply => page('You are logged out', '<p>You are logged out</p>')
