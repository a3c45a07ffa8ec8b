import type { CredentialId } from '../domain/credential.ts'
import { after, between, minutes } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { isProven, isTroubled, isUsable, tries } from './choice.ts'
import { FAULTS } from './faults.ts'
import type { Loaded, Look, Source } from './loaded.ts'
import type { Entry, Phase, Rotation, RotationSettings } from './rotation.ts'

/** Why a credential is where it is; a closed set, each with its sentence in `WHY`. */
export type Why =
  | 'in-use'
  | 'in-use-unproven'
  | 'in-use-rejected'
  | 'in-use-memory-only'
  | 'waits-for-date'
  | 'waits-for-registration'
  | 'waits-for-provider'
  | 'waits-for-order'
  | 'accepted-so-far'
  | 'spare'
  | 'fallback'
  | 'safe-to-remove'
  | 'withdrawn'
  | 'expired'

export const WHY: Readonly<Record<Why, string>> = {
  'in-use': 'in use',
  'in-use-unproven': 'in use; the provider has not been asked yet',
  'in-use-rejected': 'in use, and the provider rejects it',
  'in-use-memory-only': 'in use from memory: its files are gone, and a restart would lose it',
  'waits-for-date': 'not valid yet',
  'waits-for-registration': 'the provider does not take it yet: register it there; the one in use stays until then',
  'waits-for-provider': 'the provider has not answered yet',
  'waits-for-order': 'there is nothing it could be probed with: `credentials promote` uses it',
  'accepted-so-far': 'the provider takes it; used once it has done so often enough',
  spare: 'not preferred; tried where the provider rejects those in use',
  fallback: 'was in use; tried where the provider rejects the one in use',
  'safe-to-remove': 'no longer used: may be removed at the provider, then here',
  withdrawn: 'withdrawn by an operator',
  expired: 'expired',
}

export interface OneStatus {
  readonly id: CredentialId
  readonly loaded: Loaded
  readonly source: Source | undefined
  readonly phase: Phase | 'withdrawn'
  readonly why: Why
  readonly since: Instant
  readonly acceptedAt: Instant | undefined
  readonly rejectedAt: Instant | undefined
  readonly rejection: string | undefined
  readonly isPresent: boolean
  /** A restart would leave this replica without it. */
  readonly lostByRestart: boolean
  /** Active, and its source holds one at a time: with the next file it lives in memory only. */
  readonly isUnstaged: boolean
  readonly nextProbeAt: Instant | undefined
}

export interface CredentialStatus {
  readonly credentials: readonly OneStatus[]
  readonly faults: readonly {
    readonly setting: Source['setting']
    readonly file: string
    readonly fault: string
    readonly message: string
  }[]
  readonly ready: boolean
}

export interface StatusInput {
  readonly state: Rotation
  readonly held: ReadonlyMap<CredentialId, Loaded>
  readonly looks: readonly Look[]
  readonly sources: readonly Source[]
  readonly settings: RotationSettings
  readonly now: Instant
}

export const statusOf = ({ state, held, looks, sources, settings, now }: StatusInput): CredentialStatus => ({
  credentials: state.entries.flatMap((entry): readonly OneStatus[] => {
    const loaded = held.get(entry.id)
    if (!loaded) return []
    const { id, since, acceptedAt, rejectedAt, rejection, isPresent } = entry
    const source = sources[entry.source]
    const inUse = entry.phase === 'active'
    const facts = { id, loaded, source, since, acceptedAt, rejectedAt, rejection, isPresent }
    return [
      {
        ...facts,
        phase: entry.withdrawnAt === undefined ? entry.phase : 'withdrawn',
        why: whyOf(entry, settings, now),
        lostByRestart: inUse && !isPresent,
        isUnstaged: inUse && source?.isStaged === false,
        nextProbeAt: entry.phase === 'probing' ? entry.nextProbeAt : undefined,
      },
    ]
  }),
  faults: looks.flatMap(({ faults }, i) =>
    faults.map(({ file, fault }) => ({ setting: sources[i]?.setting ?? 'client_secret', file, fault, message: FAULTS[fault] })),
  ),
  ready: tries(state, now).length > 0,
})

const whyOf = (entry: Entry, settings: RotationSettings, now: Instant): Why => {
  if (entry.withdrawnAt !== undefined) return 'withdrawn'
  if (entry.notAfter !== undefined && now >= entry.notAfter) return 'expired'
  if (!isUsable(entry, now)) return 'waits-for-date'
  switch (entry.phase) {
    case 'active':
      if (isTroubled(entry)) return 'in-use-rejected'
      if (!entry.isPresent) return 'in-use-memory-only'
      return isProven(entry) ? 'in-use' : 'in-use-unproven'
    case 'probing':
      if (entry.series) return 'accepted-so-far'
      if (entry.rejection !== undefined) return 'waits-for-registration'
      return settings.probes ? 'waits-for-provider' : 'waits-for-order'
    case 'candidate':
      return 'spare'
    case 'retiring':
      return 'fallback'
    case 'retired':
      return 'safe-to-remove'
  }
}

/** Days before the end at which it is said. */
const WARN_DAYS = [30, 14, 7, 3, 1] as const
const DAY = minutes(24 * 60)

/** The smallest of them that has begun; undefined: the end is further away. */
export const warningDay = (notAfter: Instant | undefined, now: Instant): number | undefined => {
  if (notAfter === undefined || now >= notAfter) return undefined
  return WARN_DAYS.filter((days) => after(now, (DAY * days) as typeof DAY) >= notAfter).at(-1)
}

/** Whole days left; negative once it has ended. */
export const daysLeft = (notAfter: Instant, now: Instant): number => Math.floor(between(now, notAfter) / DAY)
