import { isIPv4, isIPv6 } from 'node:net'
import type { LoginRate, RateRefusal } from '../flows/login.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import { after, between, instant, millis, minutes } from '../kernel/time.ts'

/** So many at once, and evenly so many again in `perMs`. */
export interface Rate {
  readonly count: number
  readonly perMs: Millis
}

export interface LoginRateDeps {
  /** undefined: no limit. */
  readonly perAddress: Rate | undefined
  readonly global: Rate | undefined
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  readonly entriesMax?: number
}

/** About 1 MB. Where everybody together is limited, far fewer are ever in use at once. */
const ENTRIES_MAX = 10_000
const TOLD_EVERY = minutes(1)
const NEVER = instant(Number.NEGATIVE_INFINITY)

/** A token bucket as one moment: when it will be full again (GCRA). `toldAt`: when its refusals were last worth a line. */
interface Bucket {
  fullAt: Instant
  toldAt: Instant
}

/**
 * Limits how many logins are started, by one address and by all together, in this replica. Two buckets in one step: whoever is refused by one draws
 * from neither, so that no single address can use up what is everybody's. Own, not @fastify/rate-limit: that counts in fixed windows, one limit per
 * registration, and before the flow knows whether a login would be started at all (docs/decisions/0015).
 */
export const createLoginRate = ({ perAddress, global, clock, log, entriesMax = ENTRIES_MAX }: LoginRateDeps): LoginRate => {
  /** In the order of their last draw: the first to be full again stands in front. */
  const addresses = new Map<string, Bucket>()
  const everybody = newBucket()

  const refuse = (limit: RateRefusal['limit'], bucket: Bucket, retryAfter: Millis, now: Instant): RateRefusal => {
    const isFirst = !(between(bucket.toldAt, now) < TOLD_EVERY)
    if (isFirst) {
      bucket.toldAt = now
      log.warn({ reason: limit, hint: HINTS[limit] }, 'sign-ins are refused, too many were started')
    }
    return { limit, retryAfter, isFirst }
  }

  return {
    refuse: (address) => {
      const now = clock.now()
      forgetFull(addresses, now)
      const key = perAddress && networkOf(address)
      const own = key === undefined ? undefined : (addresses.get(key) ?? newBucket())
      if (own && perAddress) {
        const wait = waitOf(own, perAddress, now)
        if (wait > 0) return refuse('address', own, wait, now)
      }
      if (global) {
        const wait = waitOf(everybody, global, now)
        if (wait > 0) return refuse('global', everybody, wait, now)
        draw(everybody, global, now)
      }
      if (own && perAddress && key !== undefined) {
        draw(own, perAddress, now)
        addresses.delete(key)
        // Full of addresses that all draw: the one that did so longest ago gets a fresh bucket, which only the limit of everybody then bounds.
        const oldest = addresses.size >= entriesMax ? addresses.keys().next().value : undefined
        if (oldest !== undefined) addresses.delete(oldest)
        addresses.set(key, own)
      }
      return undefined
    },
  }
}

const HINTS = {
  address: 'one address started more than login.rate.per_address; if it is your ingress, name it in listen.trusted_proxies',
  global: 'all together started more than login.rate.global: an attack, or a limit too low for your users',
} as const

const newBucket = (): Bucket => ({ fullAt: NEVER, toldAt: NEVER })

/** 0: there is one to draw. A bucket that would be full later than an empty one was filled before the clock was set back: it counts as full. */
const waitOf = (bucket: Bucket, { count, perMs }: Rate, now: Instant): Millis => {
  const missing = between(now, bucket.fullAt)
  if (missing > perMs) bucket.fullAt = now
  const wait = missing > perMs ? 0 : missing - perMs + perMs / count
  return millis(wait > EPSILON_MS ? Math.ceil(wait) : 0)
}
/** Sums of fractions of milliseconds do not come out even. */
const EPSILON_MS = 0.001

const draw = (bucket: Bucket, { count, perMs }: Rate, now: Instant): void => {
  bucket.fullAt = after(bucket.fullAt > now ? bucket.fullAt : now, millis(perMs / count))
}

/** A few per call keep up with whatever comes: each call adds one at most. One whose refusals were told a moment ago is remembered for that. */
const forgetFull = (addresses: Map<string, Bucket>, now: Instant): void => {
  let looked = 0
  for (const [key, bucket] of addresses) {
    if (looked === 4 || bucket.fullAt > now || between(bucket.toldAt, now) < TOLD_EVERY) return
    looked += 1
    addresses.delete(key) // a Map may lose what its loop has come to
  }
}

/**
 * Whose bucket it is: an IPv4 address, or the /64 that one IPv6 subscriber has at least. undefined for what is no address (the peer of a Unix socket
 * that told none): that would be everybody's, and everybody has a limit of their own.
 */
export const networkOf = (address: string): string | undefined => {
  if (isIPv4(address)) return address
  if (!isIPv6(address)) return undefined
  const groups = groupsOf(address)
  const [, , , , , mark, high = 0, low = 0] = groups
  if (mark === 0xffff && groups.slice(0, 5).every((group) => group === 0)) return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  return groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')
}

/** The eight groups of an address that `isIPv6` has accepted, its last four bytes perhaps in decimal, its zone left away. */
const groupsOf = (address: string): readonly number[] => {
  const bare = (address.split('%', 1)[0] ?? '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number)
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  const [head = '', tail] = bare.split('::')
  const parse = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [left, right] = [parse(head), parse(tail ?? '')]
  return tail === undefined ? left : [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
}
