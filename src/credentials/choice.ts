import type { CredentialId, CredentialWord } from '../domain/credential.ts'
import type { Instant } from '../kernel/time.ts'
import type { Entry, Rotation } from './rotation.ts'

/** How many a request may try, the first included. */
const TRIES_MAX = 4

/** Its dates hold and nobody has withdrawn it. */
export const isUsable = ({ withdrawnAt, notBefore, notAfter }: Entry, now: Instant): boolean =>
  withdrawnAt === undefined && now >= (notBefore ?? now) && (notAfter === undefined || now < notAfter)

/** The provider took it, as far as is known here, and has not refused it since. */
export const isProven = ({ acceptedAt, toldAt, rejectedAt }: Entry): boolean => Math.max(acceptedAt ?? 0, toldAt ?? 0) > (rejectedAt ?? 0)

/** Rejected when it was last tried. */
export const isTroubled = ({ acceptedAt, toldAt, rejectedAt }: Entry): boolean =>
  rejectedAt !== undefined && rejectedAt >= Math.max(acceptedAt ?? 0, toldAt ?? 0)

/**
 * Which one operations want: the earlier source of `client_auth`; in it, one whose files are there (whoever replaced a pair in its place, or took it away,
 * meant it); then the newer one.
 */
export const isBetter = (a: Entry, b: Entry): boolean => wanted(a, b) < 0
/** Better, and no operator said to stay. What is found after such an order is wanted again. */
export const isWanted = (entry: Entry, active: Entry): boolean =>
  isBetter(entry, active) && (active.heldFrom === undefined || entry.firstSeenAt > active.heldFrom)
const wanted = (a: Entry, b: Entry): number =>
  a.source - b.source ||
  Number(b.isPresent) - Number(a.isPresent) ||
  (b.notBefore ?? 0) - (a.notBefore ?? 0) ||
  (b.notAfter ?? 0) - (a.notAfter ?? 0) ||
  // Secrets and keys carry no dates: the one that came last.
  b.firstSeenAt - a.firstSeenAt ||
  (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/**
 * Who stands in, best first: proven ones, the last accepted before others; then those that would be better, for one of them is what is registered next; then
 * the others. Of each, what was not rejected yet: a request tries four, the next one others. Where nothing is known, the oldest of the first source: of two
 * certificates the provider more likely knows the older one already; where it did not, the newest is next. What is retired comes last, however well it did in its time: a
 * folder that nobody tidies would leave no try for the others.
 */
export const substitutes = (entries: readonly Entry[], now: Instant): readonly Entry[] =>
  entries
    .filter((entry) => entry.phase !== 'active' && isUsable(entry, now))
    .toSorted(
      (a, b) =>
        Number(a.phase === 'retired') - Number(b.phase === 'retired') ||
        Number(isProven(b)) - Number(isProven(a)) ||
        (isProven(a) ? lastProof(b) - lastProof(a) : 0) ||
        Number(b.phase === 'probing') - Number(a.phase === 'probing') ||
        Number(isTroubled(a)) - Number(isTroubled(b)) ||
        (a.phase === 'probing' ? wanted(a, b) : 0) ||
        a.source - b.source ||
        Number(b.isPresent) - Number(a.isPresent) ||
        (a.notBefore ?? 0) - (b.notBefore ?? 0) ||
        (a.id < b.id ? -1 : 1),
    )

const lastProof = ({ acceptedAt, toldAt }: Entry): number => Math.max(acceptedAt ?? 0, toldAt ?? 0)

/** What a request tries, in this order. Empty: no usable credential is left. */
export const tries = ({ entries }: Rotation, now: Instant): readonly Entry[] => {
  const active = entries.filter((entry) => entry.phase === 'active' && isUsable(entry, now))
  return [...active, ...substitutes(entries, now)].slice(0, TRIES_MAX)
}

/**
 * What is to be probed now: what would be better; an active one of which nothing good is known, where there is another; all, while that one is rejected.
 * A single one has nobody to stand back for: what users ask for tells soon enough, and no start costs the provider a request.
 */
export const probesDue = ({ entries }: Rotation, now: Instant): readonly Entry[] => {
  const active = entries.find(({ phase }) => phase === 'active')
  const isAnyWanted = active !== undefined && isTroubled(active)
  const isAlone = entries.filter((entry) => isUsable(entry, now)).length === 1
  return entries.filter(
    (entry) =>
      isUsable(entry, now) &&
      entry.nextProbeAt <= now &&
      (isAnyWanted || entry.phase === 'probing' || (entry.phase === 'active' && !isAlone && !isProven(entry))),
  )
}

export const lastWordOf = (words: readonly CredentialWord[], kind: CredentialWord['kind'], id: CredentialId): Instant | undefined =>
  words
    .filter((word) => word.kind === kind && word.id === id)
    .reduce<Instant | undefined>((last, { at }) => (at > (last ?? 0) ? at : last), undefined)
