import { describe, expect, it } from 'vitest'
import { instant, minutes, seconds } from '../../../src/kernel/time.ts'
import type { CredentialWord } from '../../../src/domain/credential.ts'
import { ROTATION } from '../../harness/credential-set.ts'
import { DAY, found, machine, NEW, OLD, rotating } from '../../harness/rotation-machine.ts'

/** The new one proven by probes and in use, the old one standing by. */
const rotated = () => {
  const m = rotating()
  for (let n = 0; n < 4; n += 1) {
    m.say('new', 'accepted')
    m.wait(minutes(1))
  }
  expect([m.active(), m.phase('old')]).toEqual(['new', 'retiring'])
  return m
}

describe('an order of an operator', () => {
  // The one that was to be left had been accepted often enough, and took over again in the same step.
  it('to go back holds, although the one in use until then still works', () => {
    const m = rotated()
    const words = [m.word('new', 'accepted'), m.word('old', 'promoted')]
    m.hear(...words)
    expect(m.active()).toBe('old')
    for (let n = 0; n < 30; n += 1) {
      m.wait(minutes(1))
      m.hear(...words, m.word('new', 'accepted'))
      m.say('new', 'accepted')
      expect(m.active()).toBe('old')
    }
  })
  it('to stay holds as well: what was found before it does not take over', () => {
    const m = rotating()
    m.hear(m.word('old', 'promoted'))
    for (let n = 0; n < 9; n += 1) {
      m.say('new', 'accepted')
      m.wait(minutes(1))
    }
    expect([m.active(), m.due()]).toEqual(['old', []])
  })
  it('ends with the next credential: one that is found later takes over as always', () => {
    const m = rotated()
    m.hear(m.word('old', 'promoted'))
    m.wait(minutes(60))
    m.look(OLD, NEW, found('newest', { notBefore: m.now() }))
    for (let n = 0; n < 3; n += 1) {
      m.say('newest', 'accepted')
      m.wait(minutes(1))
    }
    expect(m.active()).toBe('newest')
  })
  // The rejection from before put it aside again in the same step, and the operator was told `done`.
  it('is followed although the provider did not take that one before', () => {
    const m = rotating()
    m.say('new', 'rejected')
    m.wait(seconds(1))
    m.hear(m.word('new', 'promoted'))
    expect(m.active()).toBe('new')
    m.wait(seconds(1))
    m.say('new', 'rejected')
    m.say('old', 'accepted')
    expect(m.active()).toBe('old')
  })
  it('does not outlive the provider’s no', () => {
    const m = rotated()
    m.hear(m.word('old', 'promoted'))
    m.wait(minutes(1))
    for (let n = 0; n < 3; n += 1) {
      m.say('old', 'rejected')
      m.say('new', 'accepted')
    }
    expect(m.active()).toBe('new')
  })
  // The earlier one was followed at the next look, two seconds after the later one, and left in force.
  it.each([
    ['are heard at once', 0],
    ['lie there when a replica restarts', 3],
  ])('of several the last one counts, and goes on counting, when they %s', (_name, afterMinutes) => {
    const m = rotating()
    const first = m.word('new', 'promoted')
    if (afterMinutes > 0) m.hear(first)
    m.wait(minutes(afterMinutes))
    m.wait(seconds(1))
    const words = [first, m.word('old', 'promoted')]
    const late = machine()
    late.look(OLD, NEW)
    late.wait(minutes(2 * afterMinutes))
    for (const one of [m, late])
      for (let n = 0; n < 4; n += 1) {
        one.wait(seconds(2))
        one.hear(...words)
        expect(one.active()).toBe('old')
      }
  })
  it('that cannot be followed here does not bring back the one before it', () => {
    const m = rotating()
    m.say('new', 'accepted')
    m.wait(seconds(1))
    m.hear(m.word('new', 'promoted', instant(m.now() - 500)), m.word('only elsewhere', 'promoted'))
    expect(m.active()).toBe('old')
  })
  it('against the clock holds, too: activate_after does not undo it', () => {
    const m = machine({ ...ROTATION, probes: false, activateAfterMs: minutes(60) })
    m.look(OLD)
    m.say('old', 'accepted')
    m.look(OLD, NEW)
    m.wait(minutes(60))
    expect(m.active()).toBe('new')
    m.hear(m.word('old', 'promoted'))
    m.wait(DAY)
    expect(m.active()).toBe('old')
  })
})

describe('a withdrawal that was taken back', () => {
  const back = () => {
    const m = rotated()
    const withdrawn = m.word('new', 'withdrawn')
    m.hear(withdrawn)
    m.wait(seconds(1))
    const promoted = m.word('new', 'promoted')
    m.hear(withdrawn, promoted)
    expect(m.active()).toBe('new')
    return { m, withdrawn }
  }
  // The order to use it lasts a quarter of an hour, the withdrawal lay there for two years.
  it.each<[string, (withdrawn: CredentialWord) => readonly CredentialWord[]]>([
    ['the order is no longer there', (withdrawn) => [withdrawn]],
    ['the withdrawal is said again', (withdrawn) => [withdrawn, withdrawn]],
  ])('stays taken back when %s', (_name, words) => {
    const { m, withdrawn } = back()
    m.wait(minutes(16))
    m.hear(...words(withdrawn))
    expect(m.tries()).toEqual(['new', 'old'])
  })
  it('holds again after a later one', () => {
    const { m, withdrawn } = back()
    m.wait(seconds(1))
    m.hear(withdrawn, m.word('new', 'withdrawn'))
    expect(m.tries()).toEqual(['old'])
  })
  it('is believed by a replica that starts long after both', () => {
    const { withdrawn } = back()
    const late = machine()
    late.look(OLD, NEW)
    late.wait(DAY)
    late.hear(withdrawn, late.word('new', 'promoted', instant(withdrawn.at + 1000)))
    expect(late.tries()).toEqual(['old', 'new'])
  })
})
