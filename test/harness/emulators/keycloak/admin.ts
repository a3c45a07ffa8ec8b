import type { EmulatorClock } from '../core-clock.ts'
import type { SigningKey } from '../core-keys.ts'
import type { Logout } from './logout.ts'
import { type Realm, secondsOf, type UserSession } from './realm.ts'
import type { ClientSettings, UserSettings } from './settings.ts'

/** The buttons of the admin console. */
export interface Admin {
  user(username: string): UserSettings
  client(clientId: string): ClientSettings
  /** Of a user, the newest last. */
  sessions(username: string): readonly UserSession[]
  /** Sessions → "Sign out" of one session; clients that listen in the back are told. */
  signOutSession(sessionId: string): Promise<void>
  /** Users → Sessions → "Logout all sessions"; also moves the user's not-before to now. */
  signOutUser(username: string): Promise<void>
  /** Sessions → "Sign out all active sessions": no OpenID Connect client is told. */
  signOutAll(): Promise<void>
  /** Everything issued before this second is stale; now unless told. */
  setNotBefore(of: 'realm' | { readonly client: string } | { readonly user: string }, second?: number): void
  disable(username: string): void
  enable(username: string): void
  /** Users → Consents → "Revoke": what was consented to is gone; sessions stay until they refresh. */
  revokeConsent(username: string, clientId: string): void
  /** Users → Sessions: an offline session is deleted; this, and nothing else, tells the clients of it. */
  revokeOffline(username: string): Promise<void>
  /** Realm settings → Keys: a new key signs, the old one only checks. */
  rotateKey(): Promise<SigningKey>
  setKeyState(kid: string, state: 'active' | 'passive' | 'disabled'): void
}

export const adminOf = (realm: Realm, logout: Pick<Logout, 'end'>, clock: Pick<EmulatorClock, 'now'>): Admin => {
  const now = (): number => secondsOf(clock.now())
  const user = (username: string): UserSettings => found(realm.users.get(username), username)
  const client = (clientId: string): ClientSettings => found(realm.clients.get(clientId), clientId)
  const sessions = (username: string): UserSession[] => [...realm.sessions.values()].filter((one) => one.user === user(username))
  return {
    user,
    client,
    sessions,
    signOutSession: (id) => logout.end(found(realm.sessions.get(id), id), now()),
    signOutUser: async (username) => {
      user(username).notBefore = now()
      await Promise.all(sessions(username).map((session) => logout.end(session, now())))
    },
    signOutAll: async () => {
      await Promise.all([...realm.sessions.values()].map((session) => logout.end(session, now(), { tell: false })))
    },
    setNotBefore: (of, second = now()) => {
      if (of === 'realm') realm.settings.notBefore = second
      else if ('client' in of) client(of.client).notBefore = second
      else user(of.user).notBefore = second
    },
    disable: (username) => {
      user(username).enabled = false
    },
    enable: (username) => {
      user(username).enabled = true
    },
    revokeConsent: (username, clientId) => void user(username).consents.delete(clientId),
    revokeOffline: async (username) => {
      await Promise.all(
        [...realm.offlineSessions.values()].filter((one) => one.user === user(username)).map((one) => logout.end(one, now())),
      )
    },
    rotateKey: () => realm.keys.roll(),
    setKeyState: (kid, state) => realm.keys.setState(kid, state),
  }
}

const found = <T>(value: T | undefined, name: string): T => {
  if (value === undefined) throw new Error(`this realm has no ${name}`)
  return value
}
