import type { SessionChange, SessionRef } from '../domain/session.ts'
import { endReason } from './records.ts'

const REF = /^[A-Za-z0-9_-]{22}$/
const FIELD = /^[a-z]{1,16}\.[\w-]{22,60}$/

export type ChannelEvent = SessionChange | { readonly kind: 'word'; readonly field: string }

/** What came over the channel, or undefined for what no release of ours sends. */
export const parseEvent = (message: string): ChannelEvent | undefined => {
  let event: unknown
  try {
    event = JSON.parse(message)
  } catch {
    return undefined
  }
  if (typeof event !== 'object' || event === null) return undefined
  const { kind, ref, gen, reason, field } = event as Readonly<Record<string, unknown>>
  if (kind === 'word') return typeof field === 'string' && FIELD.test(field) ? { kind, field } : undefined
  if (typeof ref !== 'string' || !REF.test(ref)) return undefined
  if (kind === 'written' && Number.isSafeInteger(gen)) return { kind, ref: ref as SessionRef, gen: gen as number }
  return kind === 'ended' && typeof reason === 'string' ? { kind, ref: ref as SessionRef, reason: endReason(reason) } : undefined
}
