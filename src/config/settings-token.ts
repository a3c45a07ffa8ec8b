import * as z from 'zod'
import { filePath, headerName, plainText, scopeName, setting } from './setting.ts'

export const GRANTS = [
  'auto',
  'refresh',
  'exchange',
  'on_behalf_of',
  'client_credentials',
  'service_account',
  'static',
  'pass_through',
] as const

const audience = () => plainText('an audience', 512).optional()
const scopes = () => z.array(scopeName()).max(64).prefault([])

/** Of a second token that a grant needs beside the one it yields. */
const otherToken = () =>
  z.strictObject({
    audience: setting(audience(), { doc: 'For whom that token is.' }),
    scopes: setting(scopes(), { doc: 'The scopes it carries.' }),
  })

export const tokenSettings = z.strictObject({
  principal: setting(z.enum(['user', 'app', 'none']), {
    doc: '`user`: a token of the signed-in user. `app`: a token of the application itself. `none`: no token.',
  }),
  grant: setting(z.enum(GRANTS).prefault('auto'), {
    doc: 'How the token is asked for; `auto` follows principal, caller and profile, and `explain` says what it chose.',
  }),
  audience: setting(audience(), { doc: 'For whom the token is.', example: 'api://orders' }),
  scopes: setting(scopes(), { doc: 'The scopes it carries.', example: '[orders.read]' }),
  subject: setting(otherToken().optional(), {
    since: '0.2',
    doc: 'With `exchange` and `on_behalf_of`, for sessions: which of the session’s own access tokens is turned in. `exchange` takes what the sign-in yields unless set; `on_behalf_of` needs it. A bearer caller brings its own.',
  }),
  actor: setting(otherToken().optional(), {
    since: '0.2',
    doc: 'With `exchange`: an access token of the application goes along, so that the new token says who acts for the user (RFC 8693 §4.1).',
  }),
  key_file: setting(filePath().optional(), {
    since: '0.2',
    doc: 'With `static`: the API key and nothing else. With `service_account`: the JSON key file of a service account. Watched: a new one is used by the next request.',
    reload: 'live',
    example: '/run/secrets/orders-key',
  }),
  subject_claim: setting(plainText('the name of a claim', 128).optional(), {
    since: '0.2',
    doc: 'With `service_account`: the claim of the session’s ID token that names the user to act as; `email` unless set, and then only a verified one. Any other is believed as it stands: take none that people can change, such as a user name.',
  }),
  header: setting(headerName().optional(), {
    since: '0.2',
    doc: 'With `static`: the header that carries the key; `Authorization` unless set.',
    example: 'X-API-Key',
  }),
  scheme: setting(plainText('an authentication scheme', 32).optional(), {
    since: '0.2',
    doc: 'With `static`: the word in front of the key; `Bearer` in `Authorization`, none in other headers unless set.',
  }),
})
