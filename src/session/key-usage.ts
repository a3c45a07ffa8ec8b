import type { Sealer } from '../domain/sealer.ts'
import { instant } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import type { SealedFields, SessionRecords } from './records.ts'

const MINUTE = 60_000

export const kidsIn = (sealer: Sealer, { card, grant, tokens }: SealedFields): ReadonlySet<string> => {
  const texts = [card, grant, ...tokens.values()].filter((text) => text !== undefined)
  return new Set(texts.map((text) => sealer.kidOf(text)).filter((kid) => kid !== undefined))
}

/** Tells the store, before it gets the record, until when the keys are needed that sealed it. Up to a minute too late is harmless, too early is not. */
export const noteKeys = async (
  records: SessionRecords,
  sealer: Sealer,
  fields: SealedFields,
  endsAt: Instant,
): Promise<'stored' | 'unavailable'> => {
  const until = instant(Math.ceil(endsAt / MINUTE) * MINUTE)
  const answers = await Promise.all([...kidsIn(sealer, fields)].map((kid) => records.noteKey(kid, until)))
  return answers.includes('unavailable') ? 'unavailable' : 'stored'
}
