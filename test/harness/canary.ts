import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'

/** A secret planted to be searched for: high entropy, no character that any encoding of ours would change. */
export const canary = (kind: string): string => `canary${kind.replaceAll(/[^a-z0-9]/gi, '')}${randomBytes(16).toString('hex')}`

/** How a value may be written where it does not belong. Base64 of a substring depends on where in the text it starts: all three offsets. */
const spellings = (secret: string): string[] => {
  const base64 = [0, 1, 2].flatMap((offset) => {
    const whole = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]).toString('base64')
    // The first and last characters depend on the neighbours as well.
    return [whole.slice(offset === 0 ? 0 : 4, -4)]
  })
  const plain = [secret, encodeURIComponent(secret), secret.split('').reverse().join('')]
  return [...new Set([...plain, ...base64, ...base64.map(urlSafe), Buffer.from(secret).toString('hex')])]
}

const urlSafe = (text: string): string => text.replaceAll('+', '-').replaceAll('/', '_')

export interface Leak {
  readonly secret: string
  readonly place: string
  readonly around: string
}

/** A log cuts long values (telemetry/line.ts, 256): the beginning of a token is a leak as well. */
const BEGINNING = 200
const pieces = (secret: string): string[] => (secret.length > BEGINNING ? [secret, secret.slice(0, BEGINNING)] : [secret])

/** Where any of the secrets stands in any of the texts, in clear, percent-encoded, base64, base64url, hex or backwards; of a long one its beginning counts. */
export const leaks = (secrets: Iterable<string>, texts: Readonly<Record<string, string>>): Leak[] =>
  [...secrets].flatMap((secret) =>
    Object.entries(texts).flatMap(([place, text]) => {
      const lower = text.toLowerCase()
      const hit = pieces(secret)
        .flatMap(spellings)
        .map((spelling) => (/^[0-9a-f]+$/.test(spelling) ? lower : text).indexOf(spelling))
        .find((at) => at >= 0)
      return hit === undefined ? [] : [{ secret: secret.slice(0, 18), place, around: text.slice(Math.max(0, hit - 60), hit + 20) }]
    }),
  )

/** Ends every test through which secrets flow. `texts` by place: log, audit, metrics, browser body, headers … An empty text proves nothing: it fails. */
export const expectNoLeak = (secrets: Iterable<string>, texts: Readonly<Record<string, string>>): void => {
  const planted = [...secrets]
  expect(planted.length, 'no canary was planted').toBeGreaterThan(0)
  for (const [place, text] of Object.entries(texts)) expect(text.length, `nothing was collected from ${place}`).toBeGreaterThan(0)
  expect(leaks(planted, texts)).toEqual([])
}
