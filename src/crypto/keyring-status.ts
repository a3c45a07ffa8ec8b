import type { Instant, Millis } from '../kernel/time.ts'
import { after, instant, millis, minutes } from '../kernel/time.ts'
import type { PresentKey } from './keyring.ts'
import { sealingKey } from './keyring.ts'

export interface KeyStatus {
  readonly kid: string
  /** `settling` opens already, and will seal; `opens` has sealed, and is kept for what it sealed. */
  readonly state: 'settling' | 'seals' | 'opens'
  /** Here, in this replica. */
  readonly presentSince: Instant
  /** Of a settling key, when it begins to seal. */
  readonly sealsFrom: Instant | undefined
  /** The latest end of any session sealed with it; undefined: none is. */
  readonly neededUntil: Instant | undefined
  /** From then on taking it away ends nothing; undefined: it is in use, or about to be. */
  readonly mayGoFrom: Instant | undefined
}

export interface KeyringStatus {
  readonly keys: readonly KeyStatus[]
  /** Sessions that live are sealed with keys that are not here: taken away too early, or not here yet. */
  readonly absent: readonly { readonly kid: string; readonly neededUntil: Instant }[]
}

/** A sign-in that began under a key has come to its end by then, and so has a way to the provider's sign-out. */
const IN_FLIGHT = minutes(15)

/**
 * @param ring sorted by creation, not empty
 * @param usage per key id the latest end of any session sealed with it, as the store knows it
 */
export const keyringStatus = (
  ring: readonly PresentKey[],
  usage: ReadonlyMap<string, Instant>,
  settleMs: Millis,
  now: Instant,
): KeyringStatus => {
  const sealing = sealingKey(ring, settleMs, now)
  const keys = ring.map((key, i): KeyStatus => {
    const ends = usage.get(key.kid)
    const neededUntil = ends !== undefined && ends > now ? ends : undefined
    const state = key.kid === sealing.kid ? 'seals' : key.kid > sealing.kid ? 'settling' : 'opens'
    // Other replicas may have seen the next key later than this one, by no more than keys_settle: until then they seal with this one.
    const next = state === 'opens' ? ring[i + 1] : undefined
    const unused = next && after(next.since, millis(2 * settleMs + IN_FLIGHT))
    return {
      kid: key.kid,
      state,
      presentSince: key.since,
      sealsFrom: state === 'settling' ? after(key.since, settleMs) : undefined,
      neededUntil,
      mayGoFrom: unused && instant(Math.max(unused, neededUntil ?? 0)),
    }
  })
  const here = new Set(ring.map(({ kid }) => kid))
  const absent = [...usage].filter(([kid, until]) => !here.has(kid) && until > now).map(([kid, neededUntil]) => ({ kid, neededUntil }))
  return { keys, absent: absent.toSorted((a, b) => (a.kid < b.kid ? -1 : 1)) }
}
