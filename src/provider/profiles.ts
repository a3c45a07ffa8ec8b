import { PROFILES } from '../domain/profiles/profiles.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import type { Millis } from '../kernel/time.ts'

/** What the settings may override: a realm that revokes refresh tokens, a provider with Auth0's `audience`. */
export interface ProfileOverrides {
  readonly target?: ProviderProfile['target'] | undefined
  readonly rotation?: ProviderProfile['rotation'] | undefined
  readonly rotationGraceMs?: Millis | undefined
  /** Member by member: what one registration was told differently. */
  readonly assertion?:
    | { readonly [Member in keyof ProviderProfile['assertion']]?: ProviderProfile['assertion'][Member] | undefined }
    | undefined
}

export const profileOf = (name: ProviderProfile['name'], overrides: ProfileOverrides = {}): ProviderProfile => ({
  ...PROFILES[name],
  ...(overrides.target && { target: overrides.target }),
  ...(overrides.rotation && { rotation: overrides.rotation }),
  ...(overrides.rotationGraceMs !== undefined && { rotationGraceMs: overrides.rotationGraceMs }),
  assertion: { ...PROFILES[name].assertion, ...given(overrides.assertion ?? {}) },
})

const given = <T extends object>(members: T): { readonly [Name in keyof T]?: Exclude<T[Name], undefined> } =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    readonly [Name in keyof T]?: Exclude<T[Name], undefined>
  }
