import type { CredentialView } from '../domain/credential.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Instant } from '../kernel/time.ts'
import type { Why } from './status.ts'

export interface StepFacts extends Pick<CredentialView, 'id' | 'isUnstaged'> {
  readonly why: Why
  /** Where its kind is registered, in the words of the profile. */
  readonly registeredAt: string
  /** When it was last tried. */
  readonly isRejected: boolean
  /** Its end is less than thirty days away. */
  readonly endsSoon: boolean
  /** Until when the one before stays the first to fall back on. */
  readonly keptUntil: Instant
}

/** What an operator does next about one credential; undefined: nothing. */
export const nextStepOf = ({ why, id, isRejected, registeredAt, endsSoon, isUnstaged, keptUntil }: StepFacts): string | undefined => {
  switch (why) {
    case 'waits-for-registration':
      return `register it: ${registeredAt}. It is used by itself once the provider takes it`
    case 'in-use-rejected':
      return `register it again, or put a pair that is registered beside it: ${registeredAt}`
    case 'in-use-memory-only':
      return 'put its files back, or have the next one in use, before this replica restarts'
    case 'waits-for-order':
      return `once it is registered (${registeredAt}): sallyport credentials promote ${id.slice(0, 12)}`
    case 'fallback':
      return `leave it registered until ${new Date(keptUntil).toISOString().slice(0, 16).replace('T', ' ')}Z`
    case 'safe-to-remove':
      return `remove it at the provider (${registeredAt}), then its files`
    case 'used-elsewhere':
      return 'give its successor to the replicas that still use it, before it is removed anywhere'
    case 'withdrawn':
      return 'remove it at the provider, and its files everywhere: what Redis forgets, a file brings back'
    case 'expired':
      return 'remove its files, and its registration'
    case 'in-use':
    case 'in-use-unproven':
      if (endsSoon) return isUnstaged ? `${NEXT}; ${STAGED}` : NEXT
      return isUnstaged ? STAGED : undefined
    case 'waits-for-date':
    case 'waits-for-provider':
    case 'accepted-so-far':
      return undefined
    case 'spare':
      return isRejected ? `to fall back on it, register it: ${registeredAt}` : undefined
    default:
      return assertNever(why)
  }
}

const NEXT = 'have the next one made (sallyport credentials csr), put it beside this one and register it'
const STAGED =
  'give the next one a place of its own (certificate_dir has room for several; or a second entry of client_auth): where a file is replaced, a restart before its successor is registered leaves nothing that is taken'
