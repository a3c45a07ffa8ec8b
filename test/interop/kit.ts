import { setTimeout as wait } from 'node:timers/promises'
import { inject } from 'vitest'
import { keycloakAdmin } from './keycloak-admin.ts'
import { importRealm, type Realm, type RealmRequest } from './realm.ts'
import type { Observed } from './wire.ts'

/** undefined: there is no Keycloak here, and the set-up has said so. */
export const keycloak = inject('keycloak') ?? undefined
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
