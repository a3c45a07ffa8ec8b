import { createHash } from 'node:crypto'
import { createCredentialSet } from '../../src/credentials/credential-set.ts'
import type { CredentialSet } from '../../src/credentials/credential-set.ts'
import type { Source } from '../../src/credentials/loaded.ts'
import type { RotationSettings } from '../../src/credentials/rotation.ts'
import { createWords } from '../../src/credentials/words.ts'
import type { AuditEvent } from '../../src/domain/audit-event.ts'
import type { CredentialBoard } from '../../src/domain/credential.ts'
import { PROFILES } from '../../src/domain/profiles/profiles.ts'
import { createFileWatch } from '../../src/kernel/file-watch.ts'
import { minutes, seconds } from '../../src/kernel/time.ts'
import type { Clock } from '../../src/kernel/time.ts'
import { createMemoryCredentialBoard } from '../../src/session/credential-board.ts'
import { manualClock } from './clock.ts'
import { recordingLog } from './provider-room.ts'
import type { LogLine } from './provider-room.ts'

/** Stands for the HMAC of the sealer: 22 characters, other parts other names. @param key of the fleet */
export const nameUnder =
  (key: string) =>
  (...parts: readonly string[]): string =>
    createHash('sha256')
      .update(JSON.stringify([key, ...parts]))
      .digest('base64url')
      .slice(0, 22)
export const digestName = nameUnder('the index key')

export const ROTATION: RotationSettings = {
  probes: true,
  acceptances: 3,
  spreadMs: minutes(2),
  retryFirstMs: seconds(30),
  retryMostMs: seconds(300),
  keepPreviousMs: minutes(24 * 60),
  demoteAfter: 3,
  demoteWindowMs: minutes(5),
  activateAfterMs: undefined,
  wordMs: minutes(15),
}

export interface TestSet {
  readonly set: CredentialSet
  readonly lines: readonly LogLine[]
  readonly events: readonly AuditEvent[]
  readonly gauges: ReadonlyMap<string, number>
  readonly board: CredentialBoard
}

export const credentialSet = async (
  sources: readonly Source[],
  options: {
    readonly clock?: Clock
    readonly board?: CredentialBoard
    readonly settings?: Partial<RotationSettings>
    readonly sign?: (...parts: readonly string[]) => string
    readonly scope?: readonly string[]
    readonly replica?: string
    readonly profile?: keyof typeof PROFILES
  } = {},
): Promise<TestSet> => {
  const { clock = manualClock(), board = createMemoryCredentialBoard(), sign = digestName, scope = ['default', 'default'] } = options
  const { log, lines } = recordingLog()
  const events: AuditEvent[] = []
  const gauges = new Map<string, number>()
  const set = await createCredentialSet({
    provider: 'default',
    replica: options.replica ?? 'r1',
    sources,
    settings: { ...ROTATION, ...options.settings },
    registeredAt: PROFILES[options.profile ?? 'generic'].credential.registeredAt,
    words: createWords({ board, sign, scope, clock }),
    watch: createFileWatch({ clock, log }),
    clock,
    log,
    metrics: {
      count: () => undefined,
      observe: () => undefined,
      gauge: (name, value, labels) => void gauges.set(`${name} ${Object.values(labels).join(' ')}`, value),
    },
    audit: { record: (event) => void events.push(event) },
    random: () => 0,
  })
  return { set, lines, events, gauges, board }
}
