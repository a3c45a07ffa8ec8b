import { millis, minutes, seconds } from '../kernel/time.ts'
import type { Millis } from '../kernel/time.ts'
import type { RotationSettings } from './rotation.ts'

/** What of it is set by `provider.credential_rotation`; the rest is fixed. */
export type ConfiguredRotation = Pick<
  RotationSettings,
  'probes' | 'acceptances' | 'spreadMs' | 'keepPreviousMs' | 'demoteAfter' | 'activateAfterMs'
> & {
  readonly retryMs: Millis
}

export const rotationSettings = ({ retryMs, ...configured }: ConfiguredRotation): RotationSettings => ({
  ...configured,
  retryFirstMs: retryMs,
  retryMostMs: (retryMs * 10) as Millis,
  demoteWindowMs: minutes(5),
  wordMs: WORD_MS,
})

/** A word that is older says nothing; the replica that uses the credential says it again three times as often. */
export const WORD_MS = minutes(15)
/** How often the words of others are looked at. */
export const WORDS_EVERY = seconds(2)
export const TURN_EVERY = millis(500)
/** How often a replica says that it is there, and for how long it counts as there after that. */
export const FOLLOWS_EVERY = seconds(10)
export const FOLLOWER_MS = seconds(30)
/** How long an order waits for the replicas to say that they follow it: those whose event channel is down look twice in that time. */
export const FOLLOWED_WITHIN = seconds(5)
/** Who is told that there is something to hear listens at once, and not again before this, however often it is said. */
export const HURRIED_EVERY = millis(200)
/** How long a replica that begins waits for what the provider says of its credentials. */
export const FIRST_WORD_WITHIN = seconds(5)
