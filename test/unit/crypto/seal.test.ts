import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Keyring, PresentKey } from '../../../src/crypto/keyring.ts'
import { ephemeralKeyring, findKey, newKid } from '../../../src/crypto/keyring.ts'
import { createSealer } from '../../../src/crypto/seal.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { after, seconds } from '../../../src/kernel/time.ts'
import { NOON } from './fakes.ts'

const dataKey = () => Secret.of('data-key', randomBytes(32).toString('base64url'))
const index = createSecretKey(randomBytes(32))

/** A ring whose keys the test chooses; the last one seals. */
const ringOf = (keys: readonly PresentKey[], reload = async () => {}): Keyring => ({
  sealing: () => keys.at(-1) ?? never(),
  find: (kid) => findKey(keys, kid),
  indexKey: () => index,
  reload,
})
const never = (): never => {
  throw new Error('no key')
}
const aKey = (second: number): PresentKey => ({
  kid: newKid(after(NOON, seconds(second)), undefined),
  key: createSecretKey(randomBytes(32)),
  since: NOON,
})

describe('a sealed text', () => {
  const sealer = createSealer({ keyring: ephemeralKeyring(NOON) })
  const mine = dataKey()

  it('opens with its purpose, place and data key', () => {
    const sealed = sealer.seal('grant', ['app', 'ref'], 'grüße \u{1f511}', mine)
    expect(sealer.open('grant', ['app', 'ref'], sealed, mine)).toEqual({ kind: 'opened', text: 'grüße \u{1f511}' })
    expect(sealer.kidOf(sealed)).toMatch(/^20261120T120000Z-[a-z0-9]{6}$/)
  })

  it.each`
    purpose    | place                 | key          | because
    ${'rest'}  | ${['app', 'ref']}     | ${'mine'}    | ${'another purpose'}
    ${'grant'} | ${['app', 'ref2']}    | ${'mine'}    | ${'another session'}
    ${'grant'} | ${['app2', 'ref']}    | ${'mine'}    | ${'another app'}
    ${'grant'} | ${['appr', 'ef']}     | ${'mine'}    | ${'the same letters cut elsewhere'}
    ${'grant'} | ${['app']}            | ${'mine'}    | ${'a part less'}
    ${'grant'} | ${['app', 'ref', '']} | ${'mine'}    | ${'a part more, even an empty one'}
    ${'grant'} | ${['ref', 'app']}     | ${'mine'}    | ${'another order'}
    ${'grant'} | ${['app', 'ref']}     | ${'other'}   | ${'another data key'}
    ${'grant'} | ${['app', 'ref']}     | ${'none'}    | ${'the keyring alone'}
    ${'grant'} | ${['app', 'ref']}     | ${'zeros'}   | ${'a data key of zeros, which HMAC could take for none'}
    ${'grant'} | ${['app', 'ref']}     | ${'short'}   | ${'a data key of the wrong length'}
    ${'grant'} | ${['app', 'ref']}     | ${'unclean'} | ${'the data key in another spelling'}
  `('does not open with $because', ({ purpose, place, key }) => {
    const sealed = sealer.seal('grant', ['app', 'ref'], 'canary', mine)
    const keys = {
      mine,
      other: dataKey(),
      none: undefined,
      zeros: Secret.of('data-key', Buffer.alloc(32).toString('base64url')),
      short: Secret.of('data-key', randomBytes(31).toString('base64url')),
      unclean: Secret.of('data-key', `${mine.reveal()}=`),
    }
    expect(sealer.open(purpose, place, sealed, keys[key as keyof typeof keys])).toEqual({ kind: 'invalid' })
  })

  it('sealed under the keyring alone does not open with a data key', () => {
    const sealed = sealer.seal('card', ['app', 'ref'], 'canary')
    expect(sealer.open('card', ['app', 'ref'], sealed)).toEqual({ kind: 'opened', text: 'canary' })
    expect(sealer.open('card', ['app', 'ref'], sealed, mine)).toEqual({ kind: 'invalid' })
    expect(sealer.open('card', ['app', 'ref'], sealed, Secret.of('data-key', Buffer.alloc(32).toString('base64url')))).toEqual({
      kind: 'invalid',
    })
  })

  it('does not open when any character is another one, and never throws', () => {
    const sealed = sealer.seal('grant', ['app', 'ref'], 'canary', mine)
    for (let at = 0; at < sealed.length; at += 1) {
      for (const other of ['A', 'b', '7', '-', '.', '=', ' ', '\u00e9', '']) {
        if (sealed[at] === other) continue
        const tampered = sealed.slice(0, at) + other + sealed.slice(at + 1)
        expect(sealer.open('grant', ['app', 'ref'], tampered, mine).kind, `${at} ${other}`).not.toBe('opened')
      }
    }
  })

  it('does not open when any bit of nonce, ciphertext or tag is turned', () => {
    const sealed = sealer.seal('grant', ['app', 'ref'], 'canary', mine)
    const head = sealed.slice(0, sealed.lastIndexOf('.') + 1)
    const bytes = Buffer.from(sealed.slice(head.length), 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const turned = Buffer.from(bytes)
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(sealer.open('grant', ['app', 'ref'], head + turned.toString('base64url'), mine)).toEqual({ kind: 'invalid' })
    }
  })

  it('has one spelling: padding, spare bits, blanks and the other alphabet do not open', () => {
    for (let n = 0; n < 3; n += 1) {
      const sealed = sealer.seal('card', ['app'], 'x'.repeat(n))
      for (const other of [`${sealed}=`, `${sealed}==`, `${sealed} `, `${sealed}\n`, ` ${sealed}`, `${sealed}.`])
        expect(sealer.open('card', ['app'], other).kind).toBe('invalid')
      const last = sealed.at(-1) ?? ''
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      for (const letter of alphabet)
        if (letter !== last) expect(sealer.open('card', ['app'], sealed.slice(0, -1) + letter).kind).toBe('invalid')
    }
  })

  it('never throws, whatever is given to open', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string().map((text) => `1.20261120T120000Z-abcdef.${text}`),
        ),
        (text) => {
          expect(['invalid', 'key-removed', 'key-unknown']).toContain(sealer.open('card', ['app'], text).kind)
        },
      ),
    )
    expect(sealer.open('card', ['app'], `1.${'A'.repeat(5_000_000)}`)).toEqual({ kind: 'invalid' })
    expect(sealer.kidOf('')).toBeUndefined()
  })

  it('never repeats a nonce', () => {
    const nonces = new Set(Array.from({ length: 5000 }, () => sealer.seal('state', [], '').split('.')[2]?.slice(0, 16)))
    expect(nonces.size).toBe(5000)
  })

  it('says its text to nobody: two seals of one text have nothing in common but the key id', () => {
    const [a, b] = [sealer.seal('card', ['app'], 'canary'), sealer.seal('card', ['app'], 'canary')]
    expect(a).not.toBe(b)
    expect(a + b).not.toContain('canary')
    expect(a + b).not.toContain(Buffer.from('canary').toString('base64url'))
  })

  it('is not made with a malformed data key', () => {
    expect(() => sealer.seal('grant', [], 'x', Secret.of('data-key', 'short'))).toThrow('a data key is 32 bytes, base64url')
  })
})

describe('the keyring behind it', () => {
  it('opens what an older key sealed, and calls a gone key removed and a newer one unknown', () => {
    const [first, second, third] = [aKey(1), aKey(2), aKey(3)]
    let reloads = 0
    const reload = async () => {
      reloads += 1
    }
    const old = createSealer({ keyring: ringOf([first]) }).seal('card', ['app'], 'from the first')
    const newer = createSealer({ keyring: ringOf([third]) }).seal('card', ['app'], 'from the third')
    expect(createSealer({ keyring: ringOf([first, second]) }).open('card', ['app'], old)).toEqual({
      kind: 'opened',
      text: 'from the first',
    })
    const sealer = createSealer({ keyring: ringOf([second], reload) })
    expect(sealer.open('card', ['app'], old)).toEqual({ kind: 'key-removed' })
    expect(reloads).toBe(0)
    expect(sealer.open('card', ['app'], newer)).toEqual({ kind: 'key-unknown' })
    expect(reloads).toBe(1)
  })

  it('does not open under another key that took the same id', () => {
    const key = aKey(1)
    const sealed = createSealer({ keyring: ringOf([key]) }).seal('card', ['app'], 'x')
    expect(createSealer({ keyring: ringOf([{ ...key, key: createSecretKey(randomBytes(32)) }]) }).open('card', ['app'], sealed)).toEqual({
      kind: 'invalid',
    })
  })

  it('does not open when the text is given to another key of the ring', () => {
    const [first, second] = [aKey(1), aKey(2)]
    const sealed = createSealer({ keyring: ringOf([first]) }).seal('card', ['app'], 'x')
    expect(createSealer({ keyring: ringOf([first, second]) }).open('card', ['app'], sealed.replace(first.kid, second.kid))).toEqual({
      kind: 'invalid',
    })
  })

  it('keeps opening when more keys and purposes are in use than the cache of derived keys holds', () => {
    const keys = Array.from({ length: 100 }, (_, second) => aKey(second))
    const all = createSealer({ keyring: ringOf(keys) })
    const texts = keys.map((key) => createSealer({ keyring: ringOf([key]) }).seal('state', ['app'], key.kid))
    for (const [at, text] of [...texts, ...texts].entries())
      expect(all.open('state', ['app'], text)).toEqual({ kind: 'opened', text: keys[at % keys.length]?.kid })
  })
})

describe('an index', () => {
  const sealer = createSealer({ keyring: ringOf([aKey(1)]) })
  it('is the same whatever key seals, and another one under another index key', () => {
    expect(createSealer({ keyring: ringOf([aKey(7)]) }).index('iss', 'sub')).toBe(sealer.index('iss', 'sub'))
    expect(sealer.index('iss', 'sub')).toMatch(/^[A-Za-z0-9_-]{22}$/)
    expect(createSealer({ keyring: ephemeralKeyring(NOON) }).index('iss', 'sub')).not.toBe(sealer.index('iss', 'sub'))
  })

  it('never is the same for two different lists, lone surrogates included', () => {
    const part = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('', 'a', 'ab', '\ud800', '\udfff', '\ufffd'))
    const list = fc.array(part, { maxLength: 4 })
    fc.assert(
      fc.property(list, list, (a, b) => {
        expect(sealer.index(...a) === sealer.index(...b)).toBe(JSON.stringify(a) === JSON.stringify(b))
      }),
      { numRuns: 500 },
    )
    expect(sealer.index('\ud800')).not.toBe(sealer.index('\udfff'))
    // The UTF-16 bytes of the first are the UTF-8 bytes of the second.
    expect(sealer.index('\ud841\u0080')).not.toBe(sealer.index('A\u0600\u0000'))
    expect(sealer.index('ab', 'c')).not.toBe(sealer.index('a', 'bc'))
  })
})
