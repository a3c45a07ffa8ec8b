import { generateKeyPairSync } from 'node:crypto'
import type { ProfileName } from '../../../src/domain/profile.ts'
import { clientOf } from '../../contract/emulator-entra-kit.ts'
import type { Answer, Browser } from '../browser.ts'
import { startAuth0 } from '../emulators/auth0/auth0.ts'
import { CONTOSO, DEFAULT_CLIENT_ID } from '../emulators/entra/defaults.ts'
import { guidOf } from '../emulators/entra/directory.ts'
import { startEntra } from '../emulators/entra/entra.ts'
import { startGeneric } from '../emulators/generic/generic.ts'
import type { Google } from '../emulators/google/google.ts'
import { CLIENT_ID, CLIENT_SECRET, gatewayClient } from '../emulators/keycloak/defaults.ts'
import { startKeycloak } from '../emulators/keycloak/keycloak.ts'
import { authorize, redeem, token as askToken } from '../emulators/keycloak/kit.ts'
import type { Oidc } from '../emulators/oidc/oidc.ts'
import { textOf } from '../emulators/oidc/vendor.ts'
import { startOkta } from '../emulators/okta/okta.ts'
import { APIS, appScope } from './routes.ts'
import { audiencesOf, type Cast, opened, wordsIn } from './stage.ts'
import { PROFILE_FLOWS, WAY_FLOWS } from './table.ts'

/** Each with the provider it plays. */
type CastOf = (publicUrl: string, google: Google) => Promise<Cast>

const APP_SCOPES = [...WAY_FLOWS, ...PROFILE_FLOWS].map(appScope)

const ofOidc = (oidc: Oidc, bring: Cast['bring'], more: readonly string[] = ['offline_access']): Cast => ({
  server: oidc,
  issuer: oidc.issuer,
  clientId: oidc.clientId,
  clientSecret: oidc.clientSecret,
  sit: oidc.sit,
  setEnabled: oidc.setEnabled,
  read: (token) => {
    const issued = oidc.read(token)
    return issued && { audiences: issued.audience === undefined ? [] : [issued.audience], user: issued.user?.key, scopes: issued.scopes }
  },
  bring,
  signOut: (_browser, user) => oidc.signOut(user),
  secrets: oidc.secrets,
  providerLines: [`  scopes: [${['openid', 'profile', 'email', ...more].join(', ')}]`],
})

const okta: CastOf = async (publicUrl) => {
  const oidc = await startOkta({ publicUrl })
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const names = { kid: 'of-the-gateway', alg: 'ES256' }
  oidc.setClientKeys([{ ...publicKey.export({ format: 'jwk' }), ...names }])
  return {
    ...ofOidc(oidc, (user) => oidc.bring(user, APIS.okta.gateway)),
    clientKey: JSON.stringify({ ...privateKey.export({ format: 'jwk' }), ...names }),
  }
}
const auth0: CastOf = async (publicUrl) => {
  const oidc = await startAuth0({ publicUrl })
  return ofOidc(oidc, (user) => oidc.bring(user, APIS.auth0.gateway))
}
const google: CastOf = async (_publicUrl, oidc) =>
  ofOidc(oidc, () => Promise.reject(new Error('nobody can bring a token of Google’s for the gateway')), [])

const generic: CastOf = async (publicUrl) => {
  const { a, b, gateway } = APIS.generic
  const provider = await startGeneric({
    publicUrl,
    resources: {
      [a.audience ?? '']: [...a.scopes, ...APP_SCOPES],
      [b.audience ?? '']: [...b.scopes, ...APP_SCOPES],
      [gateway]: ['gateway.use'],
    },
  })
  return {
    server: provider,
    issuer: provider.issuer,
    clientId: provider.clientId,
    clientSecret: provider.clientSecret,
    sit: provider.sit,
    setEnabled: provider.setEnabled,
    read: (token) => {
      const claims = opened(token)
      const user = claims?.sub === claims?.['client_id'] ? undefined : claims?.sub
      return claims && { audiences: audiencesOf(claims), user, scopes: wordsIn(claims['scope']) }
    },
    bring: (user) => provider.bring(user, gateway),
    providerLines: ['  logout: { frontchannel: true }', '  scopes: [openid, profile, email, offline_access]'],
    // By its own page: it tells its clients only when somebody signs out there.
    signOut: async (browser) => {
      await confirmed(browser, await browser.navigate(`${provider.issuer}/session/end`))
    },
    leave: (browser, page) => confirmed(browser, page),
    frame: async (_browser, publicUrl) => frameOf(publicUrl, provider.issuer, provider.lastSid()),
  }
}

/** The question whether to sign out, answered with yes. */
const confirmed = (browser: Browser, page: Answer): Promise<Answer> => {
  const [action = '', xsrf = ''] = [/action="([^"]+)"/, /name="xsrf" value="([^"]+)"/].map((part) => part.exec(page.body)?.[1])
  return browser.navigate(action, { method: 'POST', body: `xsrf=${xsrf}&logout=yes`, from: page.url })
}
const frameOf = (publicUrl: string, issuer: string, sid: string): string =>
  `${publicUrl}/bff/logout/frontchannel?${new URLSearchParams({ iss: issuer, sid }).toString()}`

const keycloak: CastOf = async (publicUrl) => {
  const orders = APP_SCOPES.map((name) => ({ name, audiences: ['orders'] }))
  const gateway = { name: 'gateway.use', audiences: [APIS.keycloak.gateway] }
  const own = gatewayClient(publicUrl)
  const more = { optionalScopes: [...(own.optionalScopes ?? []), ...APP_SCOPES, 'gateway.use'] }
  const nightly = { client_id: 'nightly', client_secret: CLIENT_SECRET }
  const kc = await startKeycloak({
    realm: { revokeRefreshToken: true },
    scopes: [...orders, gateway],
    clients: [
      { ...own, ...more },
      { ...own, ...more, clientId: 'nightly', redirectUris: ['http://127.0.0.1:1/'], backchannelLogoutUrl: undefined },
    ],
  })
  return {
    server: kc,
    issuer: kc.issuer,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    sit: (user) => {
      kc.autoLogin = user
    },
    setEnabled: (user, enabled) => {
      kc.admin.user(user).enabled = enabled
    },
    read: (token) => {
      const claims = opened(token)
      const name = textOf(claims?.['preferred_username'])
      const user = name.startsWith('service-account-') ? undefined : name
      // `account` is in the audience of whatever a refresh yields.
      return claims && { audiences: audiencesOf(claims).filter((one) => one !== 'account'), user, scopes: wordsIn(claims['scope']) }
    },
    bring: async (user) => {
      if (user === undefined) {
        const { json } = await askToken(kc, { grant_type: 'client_credentials', scope: 'gateway.use', ...nightly })
        return String(json['access_token'])
      }
      kc.autoLogin = user
      const redirectUri = 'http://127.0.0.1:1/'
      const arrived = await authorize(kc, { redirectUri, parameters: { client_id: 'nightly', scope: 'openid gateway.use' } })
      const { json } = await redeem(kc, arrived, { ...nightly, redirect_uri: redirectUri })
      return String(json['access_token'])
    },
    signOut: (_browser, user) => kc.admin.signOutUser(user),
    frame: async (_browser, publicUrl) => frameOf(publicUrl, kc.issuer, kc.admin.sessions('grace').at(-1)?.id ?? ''),
    providerLines: ['  logout: { frontchannel: true }'],
  }
}

const entra: CastOf = async (publicUrl) => {
  const caller = APIS.entra.caller
  const secret = 'canary~entra.secret.of.the.table'
  const names = ['orders', 'customers']
  const consent = (client: string, api: string, scope: string) => ({ client, resource: guidOf(`app ${api}`), scopes: [scope] })
  const redirectUri = 'http://localhost/callback'
  const server = await startEntra({
    apps: [
      {
        name: 'gateway',
        multiTenant: true,
        secrets: [secret],
        redirectUris: [`${publicUrl}/bff/callback`, `${publicUrl}/bff/logout/callback`],
        logoutUrl: `${publicUrl}/bff/logout/frontchannel`,
        api: { uris: ['api://gateway'], scopes: ['gateway.use'] },
      },
      { name: 'nightly', multiTenant: true, secrets: [secret], redirectUris: [redirectUri] },
    ],
    // The address is the one that they have at Google, too.
    users: ['Ada Lovelace', 'Grace Hopper'].map((name) => {
      const key = name.split(' ')[0]?.toLowerCase() ?? ''
      return { key, name, tenant: CONTOSO, upn: `${key}@shop.example` }
    }),
    resources: names.map((name) => ({ name, uris: [`api://${name}`], scopes: [`${name}.read`] })),
    consents: [
      consent(DEFAULT_CLIENT_ID, 'gateway', 'gateway.use'),
      consent(caller, 'gateway', 'gateway.use'),
      ...names.map((name) => consent(DEFAULT_CLIENT_ID, name, `${name}.read`)),
    ],
  })
  const apiNames = new Map(names.flatMap((name) => [[guidOf(`app ${name}`), `api://${name}`]]))
  return {
    server,
    issuer: server.issuer(),
    clientId: server.clientId,
    clientSecret: secret,
    sit: server.sit,
    setEnabled: server.setEnabled,
    read: (token) => {
      const claims = opened(token)
      const name = textOf(claims?.['name'])
      const user = claims?.['idtyp'] === 'app' ? undefined : name.split(' ')[0]?.toLowerCase()
      return claims && { audiences: audiencesOf(claims).map((one) => apiNames.get(one) ?? one), user, scopes: wordsIn(claims['scp']) }
    },
    bring: async (user) => {
      const client = clientOf(server, caller, secret)
      if (user === undefined) {
        const { body } = await client.post({ grant_type: 'client_credentials', scope: `${DEFAULT_CLIENT_ID}/.default` })
        return String(body['access_token'])
      }
      server.sit(user)
      const redirect = { redirect_uri: redirectUri }
      const { access_token: token } = await client.signIn(
        { scope: `openid offline_access ${DEFAULT_CLIENT_ID}/gateway.use`, ...redirect },
        redirect,
      )
      return String(token)
    },
    signOut: () => Promise.reject(new Error('Entra tells nobody but by its own page')),
    leave: (browser, page) => {
      const next = /id="next" href="([^"]+)"/.exec(page.body)?.[1]?.replaceAll('&#38;', '&') ?? ''
      return browser.navigate(next, { from: page.url })
    },
    frame: async (browser) => /<iframe hidden src="([^"]+)"/.exec((await browser.navigate(server.url('logout'))).body)?.[1] ?? '',
    secrets: server.secrets,
  }
}

export const CASTS: Readonly<Record<ProfileName, CastOf>> = { generic, keycloak, entra, okta, auth0, google }
