import { createSecretKey, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { keyringStatus } from '../../../src/crypto/keyring-status.ts'
import type { PresentKey } from '../../../src/crypto/keyring.ts'
import { after, instant, minutes } from '../../../src/kernel/time.ts'

const T0 = instant(Date.UTC(2026, 10, 20))
const at = (minute: number) => after(T0, minutes(minute))
const key = (n: number, sinceMinute: number): PresentKey => ({
  kid: `20261120T00000${n}Z-aaaaaa`,
  key: createSecretKey(randomBytes(32)),
  since: at(sinceMinute),
})
const SETTLE = minutes(5)
const [first, second, third] = [key(1, 0), key(2, 60), key(3, 120)]
const told = (ring: readonly PresentKey[], usage: Readonly<Record<string, number>>, minute: number) =>
  keyringStatus(ring, new Map(Object.entries(usage).map(([kid, until]) => [kid, at(until)])), SETTLE, at(minute))
const states = (ring: readonly PresentKey[], minute: number) => told(ring, {}, minute).keys.map(({ state }) => state)

describe('the state of the sealing keys', () => {
  it.each([
    ['one key, however new', [first], 0, ['seals']],
    ['a new key beside a settled one', [first, second], 62, ['seals', 'settling']],
    ['a new key once it has settled', [first, second], 65, ['opens', 'seals']],
    ['two rotations in a row', [first, second, third], 122, ['opens', 'seals', 'settling']],
  ] as const)('is told by what each key does: %s', (_name, ring, minute, expected) => {
    expect(states(ring, minute)).toEqual(expected)
  })

  it('says from when a new key seals', () => {
    expect(told([first, second], {}, 62).keys[1]).toMatchObject({ sealsFrom: at(65), mayGoFrom: undefined })
  })

  it('never lets the key go that seals, nor the one that will', () => {
    expect(told([first, second], { [first.kid]: 0 }, 62).keys.map(({ mayGoFrom }) => mayGoFrom)).toEqual([undefined, undefined])
  })

  it('keeps an old key until the last session sealed with it has ended', () => {
    const [old] = told([first, second], { [first.kid]: 660 }, 70).keys
    expect(old).toMatchObject({ state: 'opens', neededUntil: at(660), mayGoFrom: at(660) })
  })

  // Replicas see the new file up to keys_settle later and seal with the old key until then; who signs in under it has 10 min.
  it('keeps an old key that no session needs until sign-ins under it are over on every replica', () => {
    const [old] = told([first, second], {}, 70).keys
    expect(old).toMatchObject({ neededUntil: undefined, mayGoFrom: at(60 + 2 * 5 + 15) })
  })

  it('counts each old key from the one that came after it', () => {
    const [oldest, older] = told([first, second, third], {}, 300).keys
    expect([oldest?.mayGoFrom, older?.mayGoFrom]).toEqual([at(85), at(145)])
  })

  it('tells keys that live sessions need and that are not here, and none that nobody needs', () => {
    const gone = '20261119T000000Z-bbbbbb'
    const ahead = '20261121T000000Z-cccccc'
    expect(told([first], { [gone]: 30, [ahead]: 90, [first.kid]: 99 }, 60).absent).toEqual([{ kid: ahead, neededUntil: at(90) }])
    expect(told([first], { [gone]: 30, [ahead]: 90 }, 10).absent.map(({ kid }) => kid)).toEqual([gone, ahead])
  })
})
