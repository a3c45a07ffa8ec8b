import type { CredentialId } from '../domain/credential.ts'
import type { Clock } from '../kernel/time.ts'
import { isProven, isTroubled } from './choice.ts'
import type { Entry } from './rotation.ts'
import { FIRST_WORD_WITHIN } from './settings.ts'

export interface BeginningDeps {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** What a request would try now. */
  readonly tries: () => readonly Entry[]
  /** Resolves once the provider has said what it thinks of it, or has not in its time. */
  readonly ask: (id: CredentialId) => Promise<void>
}

/**
 * Whether a replica that begins may be sent to. One that comes to others, which work with a credential that it does not have, asks first whether what it has is
 * taken: in the middle of a rotation with one pair in the files it may have nothing but the one that is not registered yet, and would answer 502 where its
 * predecessors go on. A provider that is away holds nobody up for longer than five seconds. Where nobody works, or nobody does any longer, it is ready: a provider
 * may have to fetch its key from it first. Once it was, no rejection takes it out of service: sessions with good tokens need nobody.
 */
export const createBeginning = ({ clock, signal, tries, ask }: BeginningDeps) => {
  /** `rejected`: the provider takes nothing of what is at hand; also where nothing is. */
  let phase: 'listening' | 'asking' | 'rejected' | 'over' = 'over'

  const isRejected = (): boolean => tries().every(isTroubled)
  const asking = async (): Promise<void> => {
    phase = 'asking'
    const late = clock.sleep(FIRST_WORD_WITHIN, signal).then(
      () => 'late',
      () => 'late',
    )
    const asked = new Set<CredentialId>()
    // There may be more than a request tries: where all of those are rejected, the next ones come up.
    while (!tries().some(isProven)) {
      const unknown = tries().filter((entry) => !isTroubled(entry) && !asked.has(entry.id))
      if (unknown.length === 0) break
      for (const { id } of unknown) asked.add(id)
      if ((await Promise.race([Promise.all(unknown.map(({ id }) => ask(id))), late])) === 'late') break
    }
    phase = isRejected() ? 'rejected' : 'over'
  }

  return {
    begin: (): void => {
      phase = 'listening'
    },
    /** @param isAhead others are there that work with what is not here */
    heard: (isAhead: boolean): void => {
      if (phase === 'listening' && isAhead && !tries().some(isProven)) void asking()
      else if (phase === 'listening' || (phase === 'rejected' && !isAhead)) phase = 'over'
    },
    /** Something was found, or the provider said something. */
    stepped: (): void => {
      if (phase !== 'rejected' || isRejected()) return
      if (tries().some(isProven)) phase = 'over'
      else void asking()
    },
    isOver: (): boolean => phase === 'over',
  }
}
