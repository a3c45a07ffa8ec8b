import type { Grant, Session } from '../domain/session.ts'
import type { Saved } from '../domain/session-store.ts'
import type { AccessToken } from '../domain/token.ts'
import { ticks } from '../kernel/time.ts'
import { cookieText, partsOfSession, sealCard, sealGrant, sealToken } from './codec.ts'
import { kidsIn, noteKeys } from './key-usage.ts'
import type { SealedFields } from './records.ts'
import type { SessionReader } from './session-reader.ts'
import type { StoreParts } from './session-store.ts'
import { digestOf } from './store-l1.ts'

interface Change {
  readonly grant: Grant | undefined
  readonly tokens: readonly AccessToken[]
}

/** Stores what a token call yielded. The token that was spent decides (rt_gen), not the lease: ours may have run out while the provider thought. */
export const saveSession = async (parts: StoreParts, reader: SessionReader, session: Session, change: Change): Promise<Saved> => {
  const { deps, l1, modes } = parts
  const { ref } = session
  const { fields, kids } = sealedChange(parts, session, change)
  return l1.during(ref, async () => {
    // 1. A key is needed until the last session sealed with it ends, so that is said before anything depends on it.
    if ((await noteKeys(deps.records, deps.sealer, fields, session.card.endsAt)) === 'unavailable') return { kind: 'unavailable' }
    // 2. One step in the store: still there, still that refresh token?
    const epoch = modes.epoch
    const askedAt = ticks(deps.clock)
    const digest = digestOf(cookieText(session.cookie))
    // Before the write: its own event drops the copy, often before its answer is here.
    const seen = l1.look(digest)?.seen
    const saved = await deps.records.save(ref, fields, change.grant ? session.rtGen : undefined)
    if (saved.kind !== 'saved') return saved
    if (change.grant) parts.saves.remember(ref, fields, saved.rtGen)
    // 3. If nobody wrote between our read and our write, what we hold plus the change is what the store holds.
    const merged: Session = {
      ...session,
      grant: change.grant ?? session.grant,
      tokens: new Map([...session.tokens, ...change.tokens.map((token) => [token.key, token] as const)]),
      gen: saved.gen,
      rtGen: saved.rtGen,
    }
    parts.kids.set(merged, kids)
    if (saved.before === session.gen) {
      // Without a copy we do not know when the session was last seen; the next read brings it.
      if (seen) l1.keep(digest, merged, charsOf(merged, fields), seen.at, askedAt, epoch)
      return { kind: 'saved', session: merged }
    }
    // Somebody stored another audience's token meanwhile: look, so that nothing of theirs is missing. Ours is stored in any case.
    const opened = await reader.reopen(session)
    return { kind: 'saved', session: opened.kind === 'found' ? opened.held.session : merged }
  })
}

/** @returns `kids`: of all keys that the stored session needs from then on */
const sealedChange = ({ deps, kids }: StoreParts, session: Session, { grant, tokens }: Change) => {
  const cookie = partsOfSession(session)
  const card = sealCard(deps, session.card)
  const kid = deps.sealer.kidOf(card)
  const changed = new Set(tokens.map(({ key }) => key))
  // Sealed anew with the key that seals now, so that an older key can go without signing anybody out. The grant is written by a save of its own only:
  // writing back the one we read could undo somebody's rotation.
  const before = kids.get(session) ?? new Set<string>()
  const isOld = [...before].some((used) => used !== kid)
  const again = isOld ? [...session.tokens.values()].filter(({ key }) => !changed.has(key)) : []
  const fields: SealedFields = {
    ...(isOld && { card }),
    ...(grant && { grant: sealGrant(deps, cookie, grant) }),
    tokens: new Map([...again, ...tokens].map((token) => [token.key, sealToken(deps, cookie, token)])),
  }
  const written = kidsIn(deps.sealer, fields)
  return { fields, kids: isOld && grant ? written : new Set([...before, ...written]) }
}

const charsOf = (session: Session, { grant, tokens }: SealedFields): number => {
  const sealedChars = [grant ?? '', ...tokens.values()].reduce((sum, text) => sum + text.length, 0)
  return sealedChars + JSON.stringify(session.grant.claims).length + session.tokens.size * 1_500
}
