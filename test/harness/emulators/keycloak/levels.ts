import { acrLoaMapOf, type Realm, wordsOf } from './realm.ts'
import type { ClientSettings } from './settings.ts'

/** Which level of authentication a request wants, and whether it would rather have none than a lower one. */
export interface AcrWish {
  readonly level: number
  readonly essential: boolean
}

/** OpenID Connect Core 1.0 §5.5.1.1: `acr_values` and a voluntary claim are wishes, an essential claim is a condition. */
export const acrWishOf = (realm: Realm, client: ClientSettings, parameters: URLSearchParams): AcrWish | 'impossible' => {
  const claim = claimedAcr(parameters.get('claims'))
  const essential = claim?.essential ?? false
  const names = claim ? claim.values : wordsOf(parameters.get('acr_values'))
  if (names.length === 0) return { level: 0, essential: false }
  const levels = names.map((name) => levelNamed(realm, client, name)).filter((level) => level !== undefined)
  if (levels.length === 0) return essential ? 'impossible' : { level: 0, essential: false }
  // The first that is known; for an essential claim any of them will do, so the lowest.
  return essential ? { level: Math.min(...levels), essential } : { level: levels[0] ?? 0, essential }
}

const levelNamed = (realm: Realm, client: ClientSettings, name: string): number | undefined => {
  const mapped = acrLoaMapOf(realm, client)[name]
  return mapped ?? (/^\d{1,3}$/.test(name) ? Number(name) : undefined)
}

const claimedAcr = (text: string | null): { readonly essential: boolean; readonly values: readonly string[] } | undefined => {
  if (text === null) return undefined
  try {
    const claims = JSON.parse(text) as {
      readonly id_token?: { readonly acr?: { readonly essential?: boolean; readonly value?: string; readonly values?: readonly string[] } }
    }
    const acr = claims.id_token?.acr
    if (!acr) return undefined
    return { essential: acr.essential === true, values: acr.values ?? (acr.value === undefined ? [] : [acr.value]) }
  } catch {
    return undefined
  }
}

/** By the map where there is one for this level; otherwise 1 for a sign-in with a page, 0 for one by cookie alone. */
export const acrOf = (realm: Realm, client: ClientSettings, level: number, sso: boolean): string => {
  const map = acrLoaMapOf(realm, client)
  const named = Object.entries(map).find(([, loa]) => loa === level)?.[0]
  if (named !== undefined) return named
  return Object.keys(map).length > 0 ? String(level) : sso ? '0' : '1'
}
