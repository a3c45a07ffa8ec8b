import { asyncProperty, assert, constantFrom, integer, array, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isUsable } from '../../../src/credentials/choice.ts'
import { settled } from '../../../src/credentials/rotation.ts'
import type { CredentialWord } from '../../../src/domain/credential.ts'
import { after, instant, millis, minutes, seconds } from '../../../src/kernel/time.ts'
import { ROTATION } from '../../harness/credential-set.ts'
import { DAY, found, machine, NEW, NOON, OLD, rotating } from '../../harness/rotation-machine.ts'

describe('a new credential', () => {
  it('is probed at once, and used only after three acceptances in a row that span two minutes', () => {
    const m = rotating()
    expect([m.active(), m.phase('new'), m.due()]).toEqual(['old', 'probing', ['new']])
    m.say('new', 'accepted')
    expect(m.due()).toEqual([])
    m.wait(seconds(60))
    expect(m.due()).toEqual(['new'])
    m.say('new', 'accepted')
    m.wait(seconds(59))
    m.say('new', 'accepted')
    expect(m.active()).toBe('old') // three, within 119 s
    m.wait(seconds(60))
    m.say('new', 'accepted')
    expect([m.active(), m.phase('old')]).toEqual(['new', 'retiring'])
  })
  it('begins anew after one rejection: the provider’s view is not uniform yet', () => {
    const m = rotating()
    for (const verdict of ['accepted', 'accepted', 'rejected', 'accepted', 'accepted'] as const) {
      m.say('new', verdict)
      m.wait(seconds(61))
    }
    expect(m.active()).toBe('old')
    m.say('new', 'accepted')
    expect(m.active()).toBe('new')
  })
  it('is asked about ever more rarely while it is not registered, five minutes apart at most', () => {
    const m = rotating()
    const waits: number[] = []
    for (let n = 0; n < 7; n += 1) {
      m.say('new', 'rejected')
      waits.push((m.state().entries.find((entry) => entry.id === 'new')?.nextProbeAt ?? 0) - m.now())
      m.wait(minutes(5))
    }
    expect(waits).toEqual([15, 30, 60, 120, 150, 150, 150].map((s) => s * 1000)) // half of 30, 60, …, 300 s: the jitter is 0 here
    expect(m.active()).toBe('old')
  })
  it('keeps what it has achieved while the provider is away', () => {
    const m = rotating()
    m.say('new', 'accepted')
    m.wait(minutes(2))
    m.say('new', 'none')
    m.say('new', 'accepted')
    m.say('new', 'accepted')
    expect(m.active()).toBe('new')
  })
  it('that is not valid yet waits for its date, and is then probed without any file changing', () => {
    const m = machine()
    m.look(OLD, found('new', { notBefore: after(NOON, DAY) }))
    m.say('old', 'accepted')
    expect([m.phase('new'), m.due(), m.tries()]).toEqual(['candidate', [], ['old']])
    m.wait(DAY)
    expect([m.phase('new'), m.due()]).toEqual(['probing', ['new']])
  })
  it('is used at its first acceptance when the one in use is rejected: removed too early at the provider', () => {
    const m = rotating()
    m.say('old', 'rejected')
    expect(m.tries()).toEqual(['old', 'new'])
    m.say('new', 'accepted')
    expect(m.active()).toBe('new')
  })
  it('is used by the clock, or by an operator, where nothing can be probed', () => {
    const byClock = rotating({ ...ROTATION, probes: false, activateAfterMs: minutes(60) })
    byClock.wait(minutes(59))
    expect(byClock.active()).toBe('old')
    byClock.wait(minutes(1))
    expect(byClock.active()).toBe('new')
    const byHand = rotating({ ...ROTATION, probes: false })
    byHand.wait(DAY)
    expect(byHand.active()).toBe('old')
    byHand.hear(byHand.word('new', 'promoted'))
    expect(byHand.active()).toBe('new')
  })
  it('that vanishes before it was used is forgotten', () => {
    const m = rotating()
    m.look(OLD)
    expect([m.phase('new'), m.tries()]).toEqual([undefined, ['old']])
  })
})

describe('the credential in use', () => {
  it('stays in use when its files vanish, and is the one lost by a restart', () => {
    const m = rotating()
    m.look()
    expect([m.active(), m.state().entries[0]?.isPresent]).toEqual(['old', false])
  })
  it('gives way to an older pair that was put in its place: whoever did that meant it', () => {
    const m = machine()
    m.look(NEW)
    m.say('new', 'accepted')
    m.look(OLD)
    expect([m.active(), m.phase('old')]).toEqual(['new', 'probing'])
    for (let n = 0; n < 3; n += 1) {
      m.say('old', 'accepted')
      m.wait(minutes(1))
    }
    expect([m.active(), m.phase('new')]).toEqual(['old', 'retiring'])
  })
  it('is put aside after three rejections while another is accepted, and has to prove itself anew', () => {
    const m = rotating()
    m.hear(m.word('new', 'accepted'))
    expect(m.active()).toBe('new')
    for (let n = 1; n <= 3; n += 1) {
      m.say('new', 'accepted')
      m.say('new', 'rejected')
      m.say('old', 'accepted')
      expect(m.active()).toBe(n < 3 ? 'new' : 'old')
    }
    expect(m.phase('new')).toBe('probing')
    m.wait(minutes(5))
    for (let n = 0; n < 3; n += 1) {
      m.say('new', 'accepted')
      m.wait(minutes(1))
    }
    expect(m.active()).toBe('new')
  })
  it('stays when everything is rejected: nothing is better', () => {
    const m = rotating()
    for (let n = 0; n < 9; n += 1) for (const name of ['old', 'new']) m.say(name, 'rejected')
    expect([m.active(), m.tries()]).toEqual(['old', ['old', 'new']])
  })
  it('that expires is followed by the next one, registered or not', () => {
    const m = machine()
    m.look({ ...OLD, notAfter: after(NOON, DAY) }, NEW)
    m.say('old', 'accepted')
    m.say('new', 'rejected')
    m.wait(DAY)
    expect([m.active(), m.phase('old'), m.tries()]).toEqual(['new', 'retired', ['new']])
  })
  it('retires for a day, and is tried after that only because its files are still there', () => {
    const m = rotating()
    m.hear(m.word('new', 'accepted'))
    m.wait(millis(DAY - 1))
    expect(m.phase('old')).toBe('retiring')
    m.wait(millis(1))
    expect([m.phase('old'), m.tries()]).toEqual(['retired', ['new', 'old']])
    m.look(NEW)
    expect(m.tries()).toEqual(['new'])
  })
  it('of which nothing is known is probed; what comes first is the older of two, which the provider more likely has', () => {
    const m = machine()
    m.look(OLD, NEW)
    expect([m.active(), m.due().toSorted()]).toEqual(['old', ['new', 'old']])
  })
  it('is not probed while it is the only one, before it was rejected: a start costs the provider nothing', () => {
    const m = machine()
    m.look(OLD)
    expect([m.active(), m.due()]).toEqual(['old', []])
    m.say('old', 'rejected')
    m.wait(minutes(5))
    expect(m.due()).toEqual(['old'])
  })
  it('that was never accepted gives way to the first that is', () => {
    const m = machine()
    m.look(NEW, found('secret', { source: 1, notBefore: undefined, notAfter: undefined }))
    expect([m.active(), m.due()]).toEqual(['new', ['new']])
    m.say('new', 'rejected')
    expect(m.due()).toEqual(['secret'])
    m.say('secret', 'accepted')
    expect([m.active(), m.phase('new')]).toEqual(['secret', 'probing'])
  })
})

describe('words of others', () => {
  it('an acceptance promotes the better credential without probes of one’s own', () => {
    const m = rotating()
    m.hear(m.word('new', 'accepted'))
    expect(m.active()).toBe('new')
  })
  it('tell a replica that starts where the others are', () => {
    const m = machine()
    m.look(OLD, NEW)
    m.hear(m.word('old', 'accepted', instant(NOON - minutes(5))), m.word('new', 'accepted', instant(NOON - minutes(1))))
    expect(m.active()).toBe('new')
  })
  it.each<[string, (m: ReturnType<typeof machine>) => CredentialWord]>([
    ['too old', (m) => m.word('new', 'accepted', instant(m.now() - ROTATION.wordMs))],
    ['of the future', (m) => m.word('new', 'accepted', instant(m.now() + minutes(1)))],
    ['of a credential that is not here', (m) => m.word('other', 'accepted')],
    ['about a key only', (m) => m.word('new', 'published')],
  ])('that are %s change nothing', (_name, word) => {
    const m = rotating()
    m.hear(word(m))
    expect(m.active()).toBe('old')
  })
  it('that were overheard and said again do not outlive a rejection seen here', () => {
    const m = rotating()
    const overheard = m.word('new', 'accepted')
    m.hear(overheard)
    m.wait(seconds(1))
    for (let n = 0; n < 3; n += 1) {
      m.say('new', 'rejected')
      m.say('old', 'accepted')
    }
    expect(m.active()).toBe('old')
    m.hear(overheard)
    expect(m.active()).toBe('old')
  })
  it('never take a working credential away for a worse one', () => {
    const m = rotating()
    m.hear(m.word('new', 'accepted'))
    m.say('new', 'accepted')
    m.wait(minutes(1))
    m.hear(m.word('old', 'accepted'))
    expect(m.active()).toBe('new')
  })
  it('a withdrawal stops a credential at once, and a file that comes back does not undo it', () => {
    const m = rotating()
    m.hear(m.word('old', 'withdrawn'))
    expect([m.active(), m.tries()]).toEqual(['new', ['new']])
    m.look(NEW)
    m.wait(minutes(60))
    m.look(OLD, NEW)
    expect(m.tries()).toEqual(['new'])
  })
  it('an operator’s later order undoes a withdrawal, an earlier one does not', () => {
    const m = rotating()
    m.hear(m.word('old', 'promoted', instant(m.now() - 1000)), m.word('old', 'withdrawn'))
    expect(m.tries()).toEqual(['new'])
    m.wait(seconds(1))
    m.hear(m.word('old', 'promoted'))
    expect(m.active()).toBe('old')
  })
  it('an order is followed once: what the provider says afterwards counts more', () => {
    const m = rotating()
    const order = m.word('new', 'promoted')
    m.hear(order)
    m.wait(seconds(1))
    for (let n = 0; n < 3; n += 1) {
      m.say('new', 'rejected')
      m.say('old', 'accepted')
    }
    m.hear(order)
    expect(m.active()).toBe('old')
  })
})

// Every order in which operations, the provider and time can act.
it('whatever happens: one at most is active, a usable one is always tried, a withdrawn or expired one never', async () => {
  const NAMES = ['a', 'b', 'c'] as const
  const files = NAMES.map((name, i) =>
    found(name, { notBefore: instant(NOON + (i - 1) * DAY), notAfter: instant(NOON + (i + 1) * 2 * DAY) }),
  )
  const event = record({
    what: constantFrom('look', 'accepted', 'rejected', 'none', 'wait', 'back', 'word', 'order', 'withdraw'),
    which: constantFrom(...NAMES),
    some: integer({ min: 0, max: 7 }),
    length: constantFrom(1, 1000, 60_000, 3_600_000, DAY / 2),
  })
  await assert(
    asyncProperty(array(event, { maxLength: 40 }), async (events) => {
      const m = machine()
      for (const { what, which, some, length } of events) {
        const before = m.active()
        if (what === 'look') m.look(...files.filter((_file, i) => (some >> i) % 2 === 1))
        else if (what === 'wait') m.wait(millis(length))
        else if (what === 'back') m.wait(millis(-length))
        else if (what === 'word') m.hear(m.word(which, 'accepted', instant(m.now() - length)))
        else if (what === 'order') m.hear(m.word(which, 'promoted'))
        else if (what === 'withdraw') m.hear(m.word(which, 'withdrawn'))
        else m.say(which, what)
        const { entries, withdrawn } = m.state()
        expect(entries.filter(({ phase }) => phase === 'active').length).toBeLessThanOrEqual(1)
        const usable = entries.filter((entry) => isUsable(entry, m.now()))
        expect(m.tries().toSorted()).toEqual(usable.map((entry) => entry.id).toSorted())
        if (usable.length > 0) expect(m.tries()[0]).toBe(m.active())
        for (const name of m.tries()) expect(withdrawn.has(name)).toBe(false)
        // A probe that fails, silence and a look at files never take a usable credential out of use for one that nobody has accepted.
        if (before !== undefined && before !== m.active() && (what === 'rejected' || what === 'none' || what === 'look')) {
          const now = entries.find(({ phase }) => phase === 'active')
          expect(usable.some((entry) => entry.id === before) && now?.acceptedAt === undefined && now?.toldAt === undefined).toBe(false)
        }
        expect(settled(m.state(), m.now(), ROTATION)).toEqual(m.state())
      }
    }),
    { numRuns: 300 },
  )
})
