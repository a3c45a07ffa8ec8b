import { createSecretKey, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import type { PresentKey } from '../../../src/crypto/keyring.ts'
import { ephemeralKeyring, findKey, isKid, newKid, nextRing, sealingKey } from '../../../src/crypto/keyring.ts'
import { after, instant, minutes, seconds } from '../../../src/kernel/time.ts'
import { NOON } from './fakes.ts'

const kid = (hour: number): string => `20261120T${String(hour).padStart(2, '0')}0000Z-aaaaaa`
const present = (hour: number, minutesAgo: number): PresentKey => ({
  kid: kid(hour),
  key: createSecretKey(randomBytes(32)),
  since: after(NOON, minutes(-minutesAgo)),
})

it.each`
  present                       | seals | because
  ${[[1, 60]]}                  | ${1}  | ${'it is the only one'}
  ${[[1, 0]]}                   | ${1}  | ${'it is the only one, settled or not'}
  ${[[1, 60], [2, 0]]}          | ${1}  | ${'the new one only opens'}
  ${[[1, 60], [2, 4.99]]}       | ${1}  | ${'the new one has not settled'}
  ${[[1, 60], [2, 5]]}          | ${2}  | ${'the new one has settled'}
  ${[[1, 60], [2, 50], [3, 1]]} | ${2}  | ${'the newest that has settled'}
  ${[[1, 1], [2, 1], [3, 1]]}   | ${1}  | ${'none has settled: the oldest is what others have'}
  ${[[1, 1], [2, 60]]}          | ${2}  | ${'an older key that came later never takes over'}
`('with $present present for (key, minutes), key $seals seals: $because', ({ present: list, seals }) => {
  const keys = (list as [number, number][]).map(([hour, ago]) => present(hour, ago))
  expect(sealingKey(keys, minutes(5), NOON).kid).toBe(kid(seals))
})

it('refuses to seal with an empty ring', () => {
  expect(() => sealingKey([], minutes(5), NOON)).toThrow('the keyring is empty')
})

it.each`
  asked | answer
  ${1}  | ${'key-removed'}
  ${2}  | ${'found'}
  ${3}  | ${'key-removed'}
  ${4}  | ${'found'}
  ${5}  | ${'key-unknown'}
`('with keys 2 and 4, key $asked is $answer', ({ asked, answer }) => {
  const found = findKey([present(2, 60), present(4, 60)], kid(asked))
  expect(typeof found === 'string' ? found : 'found').toBe(answer)
})

it('counts from the mtime at the first look, from the moment of seeing afterwards', () => {
  const read = new Map([[kid(1), { key: createSecretKey(randomBytes(32)), mtime: after(NOON, minutes(-60)) }]])
  const first = nextRing(undefined, read, new Set(), NOON)
  expect(first.ring[0]?.since).toBe(after(NOON, minutes(-60)))
  const second = nextRing(
    first.ring,
    new Map([...read, [kid(2), { key: createSecretKey(randomBytes(32)), mtime: instant(0) }]]),
    new Set(),
    NOON,
  )
  expect(second.ring.map((key) => key.since)).toEqual([after(NOON, minutes(-60)), NOON])
  expect(second).toMatchObject({ added: [kid(2)], removed: [] })
})

it('takes no mtime from the future for the past of this process', () => {
  const read = new Map([[kid(1), { key: createSecretKey(randomBytes(32)), mtime: after(NOON, minutes(60)) }]])
  expect(nextRing(undefined, read, new Set(), NOON).ring[0]?.since).toBe(NOON)
})

it('keeps a key whose file is there but unreadable, and drops one whose file is gone', () => {
  const held = [present(1, 60), present(2, 60)]
  const next = nextRing(held, new Map(), new Set([kid(2)]), NOON)
  expect(next.ring).toEqual([held[1]])
  expect(next.removed).toEqual([kid(1)])
})

it('starts the settling anew when a key was taken away and comes back', () => {
  const held = present(1, 60)
  const read = new Map([[held.kid, { key: held.key, mtime: instant(0) }]])
  expect(nextRing([present(2, 60)], read, new Set([kid(2)]), NOON).ring[0]?.since).toBe(NOON)
})

it('makes key ids that sort by creation, even when the clock went back', () => {
  const first = newKid(NOON, undefined)
  expect(first).toMatch(/^20261120T120000Z-[a-z0-9]{6}$/)
  expect(newKid(NOON, first) > first).toBe(true)
  expect(newKid(after(NOON, minutes(-600)), first)).toMatch(/^20261120T120001Z-/)
  expect(newKid(after(NOON, seconds(90)), first)).toMatch(/^20261120T120130Z-/)
})

it.each([
  '',
  'index',
  '20261120T120000Z',
  '20261120T120000Z-abcde',
  '20261120T120000Z-ABCDEF',
  '20261120T120000Z-abcdef\n',
  'x20261120T120000Z-abcdef',
])('does not take %j for a key id', (text) => expect(isKid(text)).toBe(false))

it('of a process shows no key when printed, and knows nothing of another process', () => {
  const ring = ephemeralKeyring(NOON)
  expect(inspect(ring.sealing(), { depth: 9 })).not.toContain(ring.sealing().key.export().toString('hex').slice(0, 8))
  expect(ring.find(ring.sealing().kid)).toBe(ring.sealing())
  expect(ring.find(kid(1))).toBe('key-removed')
  expect(ring.find(kid(23))).toBe('key-unknown')
})
