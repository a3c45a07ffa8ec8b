import { describe, expect, it } from 'vitest'
import { after, millis, minutes, seconds } from '../../../src/kernel/time.ts'
import { ROTATION } from '../../harness/credential-set.ts'
import { DAY, found, machine, NEW, NOON, OLD, rotating } from '../../harness/rotation-machine.ts'

const proven = (m: ReturnType<typeof machine>, name: string): void => {
  for (let n = 0; n < 4; n += 1) {
    m.say(name, 'accepted')
    m.wait(minutes(1))
  }
  expect(m.active()).toBe(name)
}

describe('the one in use is not given up for a worse one', () => {
  it('by activate_after, while the provider rejects the new one', () => {
    const m = rotating({ ...ROTATION, activateAfterMs: minutes(60) })
    for (let n = 0; n < 90; n += 1) {
      m.say('new', 'rejected')
      m.wait(minutes(1))
    }
    expect(m.active()).toBe('old')
  })
  // It was put aside, and was due by the clock in the same step: every request tried it first, for good.
  it('by activate_after, once requests have shown that the provider does not take it; it is tried again that much later', () => {
    const m = rotating({ ...ROTATION, probes: false, activateAfterMs: minutes(60) })
    m.wait(minutes(60))
    expect(m.active()).toBe('new')
    for (let n = 0; n < 3; n += 1) {
      m.say('new', 'rejected')
      m.say('old', 'accepted')
    }
    expect(m.active()).toBe('old')
    m.wait(minutes(59))
    expect(m.active()).toBe('old')
    m.wait(minutes(1))
    expect(m.active()).toBe('new')
  })
  // What it had been accepted with weeks ago counted: one look at a half-written file, and a certificate that may be gone at the provider was used first.
  it('because its file was half-written at one look, and another had proven itself long ago', () => {
    const m = rotating()
    proven(m, 'new')
    m.wait(millis(2 * DAY))
    m.say('new', 'accepted')
    expect(m.phase('old')).toBe('retired')
    m.look(OLD)
    expect(m.active()).toBe('new')
    m.wait(seconds(5))
    m.look(OLD, NEW)
    expect([m.active(), m.due()]).toEqual(['new', []])
  })
  it('and goes back to the one before when its files were taken away, as soon as that has proven itself anew', () => {
    const m = rotating()
    proven(m, 'new')
    m.look(OLD)
    expect([m.active(), m.phase('old'), m.due()]).toEqual(['new', 'probing', ['old']])
    proven(m, 'old')
  })
  it('nor lost when it was put aside in favour of another and its files are gone', () => {
    const m = machine()
    const secret = found('secret', { source: 1, notBefore: undefined, notAfter: undefined })
    m.look(OLD, secret)
    m.say('old', 'accepted')
    m.look(secret)
    for (let n = 0; n < 3; n += 1) {
      m.say('old', 'rejected')
      m.say('secret', 'accepted')
    }
    expect(m.active()).toBe('secret')
    m.look(secret)
    m.wait(minutes(10))
    m.look(secret)
    expect(m.tries()).toEqual(['secret', 'old'])
  })
})

// Those that had been in use before it were asked instead, each of which the provider had long forgotten.
it('when the one in use is removed at the provider, the next one is tried, however many that were used before it lie there still', () => {
  const m = machine()
  const used = Array.from({ length: 6 }, (_, n) => found(`used-${n}`, { notBefore: after(NOON, millis((n - 50) * DAY)) }))
  used.forEach((one, n) => {
    m.look(...used.slice(0, n + 1))
    proven(m, one.id)
    m.wait(millis(2 * DAY))
  })
  m.look(...used, NEW)
  m.say('new', 'rejected')
  m.say('used-5', 'rejected')
  expect(m.tries()).toEqual(['used-5', 'new', 'used-4', 'used-3'])
  // After a restart nobody knows which of them were used.
  const late = machine()
  late.look(...used)
  late.hear(m.word('used-5', 'accepted', late.now()))
  late.look(...used, NEW)
  late.wait(seconds(1))
  late.say('used-5', 'rejected')
  expect(late.tries().slice(0, 2)).toEqual(['used-5', 'new'])
})

it('a replica that starts without a word, in a folder that nobody tidied, comes upon the one that is taken in its first request, wherever the next is', () => {
  const m = machine()
  const all = Array.from({ length: 8 }, (_, n) => found(`${n}`, { notBefore: after(NOON, millis((n - 50) * DAY)) }))
  m.look(...all)
  expect(m.active()).toBe('0')
  m.say('0', 'rejected')
  // Of the last two one is in use, and the other may not be registered yet.
  expect(m.tries()).toEqual(['0', '7', '6', '5'])
  for (const name of ['7', '6', '5']) m.say(name, 'rejected')
  expect(m.tries()).toEqual(['0', '4', '3', '2'])
})

// They took turns every third request, each turn a line of the audit trail and three of the log.
it('two certificates, each of them known to a part of the provider, take turns once a minute at most', () => {
  const m = rotating()
  proven(m, 'new')
  const turns: (string | undefined)[] = [m.active()]
  for (let n = 0; n < 3000; n += 1) {
    const knows = n % 2 === 0 ? 'old' : 'new'
    const tried = m.tries()
    for (const name of tried.slice(0, tried.indexOf(knows as never) + 1)) m.say(name, name === knows ? 'accepted' : 'rejected')
    if (m.active() !== turns.at(-1)) turns.push(m.active())
    m.wait(millis(100))
  }
  expect(turns.length).toBeLessThan(7)
  // Nothing of it lasts: once all parts know the new one, it is used first again.
  for (let n = 0; n < 4; n += 1) {
    m.say('old', 'rejected')
    m.say('new', 'accepted')
    m.wait(minutes(1))
  }
  expect(m.active()).toBe('new')
})

it('one that was put aside a moment ago is used again at once where the other is only rejected: whoever rotated went back', () => {
  const m = rotating()
  const rejects = (name: string, other: string): void => {
    for (let n = 0; n < 3; n += 1) {
      m.say(name, 'rejected')
      m.say(other, 'accepted')
      m.wait(seconds(1))
    }
    expect(m.active()).toBe(other)
  }
  rejects('old', 'new')
  rejects('new', 'old')
  rejects('old', 'new')
})

// Each replica asked once a minute, for as long as the files were there.
it('a new one that another new one overtook is no longer probed', () => {
  const m = machine()
  m.look(OLD)
  m.say('old', 'accepted')
  const newest = found('newest', { notBefore: after(NOON, millis(-1 * DAY)) })
  m.look(OLD, NEW, newest)
  m.say('new', 'rejected')
  proven(m, 'newest')
  m.wait(minutes(10))
  expect([m.phase('new'), m.due()]).toEqual(['candidate', []])
})

describe('a clock that is set back by an hour', () => {
  const back = (m: ReturnType<typeof machine>): void => m.wait(millis(-3_600_000))
  it('does not make an acceptance from before count more than what is rejected now', () => {
    const m = rotating()
    proven(m, 'new')
    back(m)
    for (let n = 0; n < 3; n += 1) {
      m.say('new', 'rejected')
      m.say('old', 'accepted')
      m.wait(seconds(1))
    }
    expect(m.active()).toBe('old')
  })
  it('does not hold up probes', () => {
    const m = rotating()
    for (let n = 0; n < 5; n += 1) m.say('new', 'none')
    back(m)
    m.wait(minutes(5))
    expect(m.due()).toEqual(['new'])
  })
  it('does not hold up a rotation', () => {
    const m = rotating()
    m.say('new', 'accepted')
    back(m)
    m.wait(seconds(1))
    m.say('new', 'accepted')
    m.wait(minutes(2))
    m.say('new', 'accepted')
    expect(m.active()).toBe('new')
  })
  it('does not make orders go unheard', () => {
    const m = rotating()
    m.wait(minutes(1))
    m.say('new', 'rejected')
    back(m)
    m.wait(seconds(1))
    m.hear(m.word('new', 'promoted'))
    expect(m.active()).toBe('new')
  })
  it('keeps the order of what was seen: what worked last still does', () => {
    const m = rotating()
    m.say('old', 'rejected')
    m.wait(seconds(1))
    m.say('old', 'accepted')
    back(m)
    expect([m.active(), m.due()]).toEqual(['old', ['new']])
  })
})
