import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, inject } from 'vitest'
import { keycloakAdmin } from './keycloak-admin.ts'
import { importRealm, type Realm, type RealmRequest } from './realm.ts'
import type { Observed } from './wire.ts'

/** undefined: there is no Keycloak here, and the set-up has said so. */
export const keycloak = inject('keycloak') ?? undefined
/** `describe`, or a skip where there is no Keycloak. */
export const onKeycloak = describe.skipIf(!keycloak)

/** A realm of this test's own. */
export const createRealm = (request: RealmRequest): Promise<Realm> => {
  if (!keycloak) throw new Error('there is no Keycloak')
  return importRealm(keycloak.url, keycloakAdmin(keycloak), request)
}

/** What of an answer may be compared and printed: no token in it. */
export const gist = ({ status, body }: Observed): readonly (string | number)[] =>
  [status, body['error'], body['error_description']].filter((part) => typeof part === 'number' || typeof part === 'string')

export const header = (jwt: unknown): Readonly<Record<string, unknown>> => partOf(jwt, 0)
export const claims = (jwt: unknown): Readonly<Record<string, unknown>> => partOf(jwt, 1)
const partOf = (jwt: unknown, at: number): Readonly<Record<string, unknown>> =>
  JSON.parse(Buffer.from(String(jwt).split('.')[at] ?? '', 'base64url').toString()) as Record<string, unknown>

/** Keycloak counts in whole seconds: what is to come later has to come in another one. */
export const nextSecond = async (): Promise<void> => {
  await wait(1_050)
}

/** The place of a client that has no gateway: takes notices of Keycloak's, and shows a JWKS. */
export interface ClientPlace {
  readonly url: string
  /** Bodies of the logout notices so far. */
  readonly notices: string[]
  keys: readonly unknown[]
  /** How often the keys were asked for. */
  asked(): number
  stop(): Promise<void>
}
export const startClientPlace = async (): Promise<ClientPlace> => {
  const notices: string[] = []
  let asked = 0
  const place = { keys: [] as readonly unknown[] }
  const server = createServer((request, response) => {
    if (request.url === '/jwks') {
      asked += 1
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: place.keys }))
      return
    }
    let body = ''
    request.on('data', (chunk) => (body += String(chunk)))
    request.on('end', () => {
      notices.push(body)
      response.writeHead(200).end()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return Object.assign(place, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    notices,
    asked: () => asked,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
}
