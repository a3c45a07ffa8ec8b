import { probesDue, tries } from '../../src/credentials/choice.ts'
import { answered, EMPTY, looked, settled, told } from '../../src/credentials/rotation.ts'
import type { Found, Rotation } from '../../src/credentials/rotation.ts'
import type { CredentialId, CredentialVerdict, CredentialWord } from '../../src/domain/credential.ts'
import { after, instant, millis, minutes } from '../../src/kernel/time.ts'
import type { Instant, Millis } from '../../src/kernel/time.ts'
import { ROTATION } from './credential-set.ts'

export const DAY = minutes(24 * 60)
export const NOON = instant(Date.UTC(2026, 10, 2, 12))
const id = (name: string): CredentialId => name as CredentialId
export const found = (name: string, more: Partial<Found> = {}): Found => ({
  id: id(name),
  source: 0,
  notBefore: after(NOON, millis(-30 * DAY)),
  notAfter: after(NOON, millis(60 * DAY)),
  ...more,
})
export const OLD = found('old', { notBefore: after(NOON, millis(-60 * DAY)) })
export const NEW = found('new')

/** A machine whose time the test moves. */
export const machine = (settings = ROTATION, start: Rotation = EMPTY) => {
  let state = start
  let now: Instant = NOON
  return {
    now: () => now,
    state: () => state,
    wait: (length: Millis) => {
      now = after(now, length)
      state = settled(state, now, settings)
    },
    look: (...files: readonly Found[]) => (state = looked(state, files, now, settings)),
    say: (name: string, kind: CredentialVerdict['kind'], code = 'AADSTS700027') => {
      const verdict = kind === 'rejected' ? { kind, code } : kind === 'none' ? { kind, cause: 'timeout' } : { kind }
      state = answered(state, { id: id(name), verdict, random: 0 }, now, settings)
    },
    hear: (...words: readonly CredentialWord[]) => (state = told(state, words, now, settings)),
    word: (name: string, kind: CredentialWord['kind'], at = now): CredentialWord => ({ id: id(name), kind, at }),
    phase: (name: string) => state.entries.find((entry) => entry.id === name)?.phase,
    active: () => state.entries.find(({ phase }) => phase === 'active')?.id,
    tries: () => tries(state, now).map((entry) => entry.id),
    due: () => probesDue(state, now).map((entry) => entry.id),
  }
}
/** With the old one in use and known to work, and the new one found. */
export const rotating = (settings = ROTATION) => {
  const m = machine(settings)
  m.look(OLD)
  m.say('old', 'accepted')
  m.look(OLD, NEW)
  return m
}
