import { Aadsts } from './errors.ts'
import { type Api, type Directory, GRAPH_URI, isGuid } from './directory.ts'

/** What a `scope` asks of one API. */
export interface Target {
  readonly api: Api
  /** The resource as it was written: v1 tokens repeat it in `aud`. */
  readonly writtenAs: string
  /** Empty with `.default`. */
  readonly names: readonly string[]
  readonly isDefault: boolean
}
export interface AskedScopes {
  readonly openid: boolean
  readonly profile: boolean
  readonly email: boolean
  readonly offlineAccess: boolean
  /** In the order they were first named. */
  readonly targets: readonly Target[]
}

const OIDC = ['openid', 'profile', 'email', 'offline_access']

/** E5: a scope names its API by GUID or by App ID URI; one without is Microsoft Graph's. */
export const askedScopes = (directory: Directory, scope: string, tenant: string): AskedScopes => {
  const words = scope.split(' ').filter((word) => word !== '')
  const targets = new Map<string, { api: Api; writtenAs: string; names: string[]; isDefault: boolean }>()
  for (const word of words) {
    if (OIDC.includes(word)) continue
    const at = word.lastIndexOf('/')
    const resource = at < 0 ? GRAPH_URI : word.slice(0, at)
    const name = word.slice(at + 1)
    const api = directory.api(resource)
    if (!api) throw isResourceName(resource) ? new Aadsts(500011, { resource, tenant }) : new Aadsts(70011, { scope: word })
    const target = targets.get(api.id) ?? { api, writtenAs: resource, names: [], isDefault: false }
    targets.set(api.id, target)
    if (name === '.default') target.isDefault = true
    else if (api.api.scopes.includes(name)) target.names.push(name)
    else throw new Aadsts(70011, { scope: word })
    // E16: static and dynamic consent do not mix.
    if (target.isDefault && target.names.length > 0) throw new Aadsts(70011, { scope })
  }
  const has = (word: string): boolean => words.includes(word)
  return {
    openid: has('openid'),
    profile: has('profile'),
    email: has('email'),
    offlineAccess: has('offline_access'),
    targets: [...targets.values()],
  }
}

const isResourceName = (resource: string): boolean => isGuid(resource) || /^(?:api|https?|spn|urn):/.test(resource)

/** Claims of the `claims` parameter this emulator knows (providers.md §1.9). */
export interface AskedClaims {
  readonly cp1: boolean
  readonly acrs: string | undefined
  readonly idTokenAcrs: string | undefined
  readonly policies: boolean
}
interface ClaimAsk {
  readonly value?: string
  readonly values?: readonly string[]
}
export const askedClaims = (claims: string | null): AskedClaims => {
  if (claims === null || claims === '') return { cp1: false, acrs: undefined, idTokenAcrs: undefined, policies: false }
  try {
    const parsed = JSON.parse(claims) as { readonly access_token?: Record<string, ClaimAsk>; readonly id_token?: Record<string, ClaimAsk> }
    const one = (ask: ClaimAsk | undefined): string | undefined => ask?.value ?? ask?.values?.[0]
    return {
      cp1: parsed.access_token?.['xms_cc']?.values?.includes('cp1') ?? false,
      acrs: one(parsed.access_token?.['acrs']),
      idTokenAcrs: one(parsed.id_token?.['acrs']),
      policies: parsed.access_token?.['capolids'] !== undefined,
    }
  } catch {
    throw new Aadsts(90023, { reason: "the 'claims' parameter is not JSON" })
  }
}
