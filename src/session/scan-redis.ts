import type { Redis } from 'ioredis'
import { inTime } from './in-time-redis.ts'
import { SCAN_COUNT } from './records.ts'

export interface KeyScan {
  readonly keys: readonly string[]
  readonly next: string | undefined
}

export interface ScanPlace {
  /** Those that take writes now. */
  readonly masters: readonly Redis[]
  /** Of these servers and no others, in letters and digits. */
  readonly name: string
  readonly timed: <T>(command: string, send: () => Promise<T>) => Promise<T | 'unavailable'>
}

/**
 * One SCAN of one server; a Cluster is gone through primary by primary. The cursor of Redis means something to the very server that gave it only, so ours
 * says which servers it is of: after a restart or a failover a scan begins anew, and meets twice what it has met, rather than go on past what it has not.
 */
export const scanStep = async (
  { masters, name, timed }: ScanPlace,
  match: string,
  cursor: string | undefined,
): Promise<KeyScan | 'unavailable'> => {
  const servers = masters.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
  const epoch = `${name}x${servers.length}`
  const [, of, at, inside] = /^(\w+)-(\d+)-(\d+)$/.exec(cursor ?? '') ?? []
  const [index, from] = of === epoch ? [Number(at), inside ?? '0'] : [0, '0']
  const server = servers[index]
  if (!server) return servers.length === 0 ? 'unavailable' : { keys: [], next: undefined }
  const answer = await timed('scan', () => inTime(server.scan(from, 'MATCH', match, 'COUNT', SCAN_COUNT)))
  if (answer === 'unavailable') return answer
  const [next, keys] = answer
  if (next !== '0') return { keys, next: `${epoch}-${index}-${next}` }
  return { keys, next: index + 1 < servers.length ? `${epoch}-${index + 1}-0` : undefined }
}

const placeOf = ({ options }: Redis): string => `${options.host ?? ''}:${options.port ?? 0}`
