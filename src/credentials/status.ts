import { X509Certificate } from 'node:crypto'
import type { Credential, CredentialId, CredentialOverview, CredentialView } from '../domain/credential.ts'
import type { CredentialFacts } from '../domain/profile.ts'
import { assertNever } from '../kernel/assert.ts'
import { after, between, minutes } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { keyIdOf } from '../kernel/key-id.ts'
import { isProven, isTroubled, isUsable, tries } from './choice.ts'
import { FAULTS } from './faults.ts'
import type { Loaded, Look, Source } from './loaded.ts'
import { nextStepOf } from './next-step.ts'
import type { Entry, Rotation, RotationSettings } from './rotation.ts'

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
  | 'used-elsewhere'
  | 'safe-to-remove'
  | 'withdrawn'
  | 'expired'

const WHY: Readonly<Record<Why, string>> = {
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
  'used-elsewhere': 'no longer used here, and another replica still uses it: leave it registered',
  'safe-to-remove': 'no longer used: may be removed at the provider, then here',
  withdrawn: 'withdrawn by an operator',
  expired: 'expired',
}

export interface StatusInput {
  readonly state: Rotation
  readonly held: ReadonlyMap<CredentialId, Loaded>
  readonly looks: readonly Look[]
  readonly sources: readonly Source[]
  readonly settings: RotationSettings
  /** Where each kind is registered, in the words of the profile. */
  readonly registeredAt: CredentialFacts['registeredAt']
  readonly now: Instant
}

export const overviewOf = ({ state, held, looks, sources, settings, registeredAt, now }: StatusInput): CredentialOverview => ({
  ready: tries(state, now).length > 0,
  credentials: state.entries.flatMap((entry): readonly CredentialView[] => {
    const loaded = held.get(entry.id)
    if (!loaded) return []
    const { id, since, acceptedAt, rejectedAt, rejection, isPresent, notBefore, notAfter } = entry
    const { credential, file } = loaded
    const source = sources[entry.source]
    const isActive = entry.phase === 'active'
    const why = whyOf(entry, settings, now)
    const isUnstaged = isActive && source?.isStaged === false
    return [
      {
        id,
        kind: credential.kind,
        method: methodOf(credential),
        setting: source?.setting ?? 'client_secret',
        file,
        state: entry.withdrawnAt === undefined ? entry.phase : 'withdrawn',
        since,
        why,
        message: WHY[why],
        thumbprints: thumbprintsOf(credential),
        kid: kidOf(credential),
        daysLeft: notAfter === undefined ? undefined : daysLeft(notAfter, now),
        notBefore,
        notAfter,
        acceptedAt,
        rejectedAt,
        rejection,
        nextProbeAt: entry.phase === 'probing' && settings.probes ? entry.nextProbeAt : undefined,
        // A source that cannot be read keeps what it held; nobody could read it anew.
        lostByRestart: isActive && (!isPresent || looks[entry.source]?.kind === 'unreadable'),
        isUnstaged,
        nextStep: nextStepOf({
          why,
          id,
          isUnstaged,
          isRejected: isTroubled(entry),
          registeredAt: registeredAt[credential.kind],
          endsSoon: warningDay(notAfter, now) !== undefined,
          keptUntil: after(since, settings.keepPreviousMs),
        }),
      },
    ]
  }),
  faults: looks.flatMap(({ faults }, i) =>
    faults.map(({ file, fault }) => ({ setting: sources[i]?.setting ?? 'client_secret', file, fault, message: FAULTS[fault] })),
  ),
})

/** What providers that go by names call its key: our own JWK's, or the public key's of a certificate (Keycloak, and the document of keys). */
const kidOf = (credential: Credential): string | undefined => {
  if (credential.kind === 'jwk') return credential.kid
  return credential.kind === 'certificate' ? keyIdOf(credential.privateKey) : undefined
}

const methodOf = (credential: Credential): string => {
  switch (credential.kind) {
    case 'secret':
    case 'tls':
      return credential.method
    case 'certificate':
    case 'jwk':
    case 'federated':
      return 'private_key_jwt'
    default:
      return assertNever(credential)
  }
}

const hex = (base64url: string): string => Buffer.from(base64url, 'base64url').toString('hex')
const thumbprintsOf = (credential: Credential): CredentialView['thumbprints'] => {
  if (credential.kind === 'certificate') return { sha256: hex(credential.thumbprint), sha1: hex(credential.sha1Thumbprint) }
  return credential.kind === 'tls' ? { sha256: hex(credential.thumbprint), sha1: sha1Of(credential.certificatePem) } : undefined
}
const sha1Of = (pem: string): string => new X509Certificate(pem).fingerprint.replaceAll(':', '').toLowerCase()

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
      return isUsedElsewhere(entry, settings, now) ? 'used-elsewhere' : 'safe-to-remove'
  }
}

/** Somebody said so since it was put out of use here: a replica that has no new file yet. */
const isUsedElsewhere = ({ toldAt, since }: Entry, settings: RotationSettings, now: Instant): boolean =>
  toldAt !== undefined && toldAt > since && between(toldAt, now) < settings.wordMs

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
