import { millis, type Millis } from '../kernel/time.ts'

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1000, MB: 1000 ** 2, GB: 1000 ** 3 }
/** The longest time a Node timer can wait. */
const LONGEST_MS = 2 ** 31 - 1

/** `500ms`, `30s`, `10m`, `1h30m`, `0`. Units once each, largest first; undefined when it is anything else. A bare number other than 0 has no unit. */
export const parseDuration = (text: string): Millis | undefined => {
  if (text === '0') return millis(0)
  const match = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?(?:(\d{1,10})ms)?$/.exec(text)
  if (!match || text === '') return undefined
  const total = ['d', 'h', 'm', 's', 'ms'].reduce((sum, unit, i) => sum + Number(match[i + 1] ?? 0) * (DURATION_MS[unit] ?? 0), 0)
  return total <= LONGEST_MS ? millis(total) : undefined
}

const RATE_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }

/** So many at once, and evenly so many again in `perMs`. */
export interface Rate {
  readonly count: number
  readonly perMs: Millis
}

/** `30/m`, `5/s`, `1000/h`; from 1 to a million. */
export const parseRate = (text: string): Rate | undefined => {
  const match = /^([1-9]\d{0,6})\/([smh])$/.exec(text)
  const count = Number(match?.[1])
  return match && count <= 1_000_000 ? { count, perMs: millis(RATE_MS[match[2] ?? ''] ?? 0) } : undefined
}

/** `64KiB`, `10MiB`, `1GB`, `512B`, or a bare number of bytes. */
export const parseBytes = (text: string): number | undefined => {
  const match = /^(\d{1,15})(B|KiB|MiB|GiB|kB|MB|GB)?$/.exec(text)
  if (!match) return undefined
  const total = Number(match[1]) * (BYTES[match[2] ?? 'B'] ?? 1)
  return Number.isSafeInteger(total) ? total : undefined
}
