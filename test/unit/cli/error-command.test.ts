import { describe, expect, it } from 'vitest'
import { run } from '../../../src/cli/run.ts'
import { ENTRA_CODES } from '../../../src/domain/profiles/entra-codes.ts'
import { PROFILES } from '../../../src/domain/profiles/profiles.ts'
import { explainCode, OAUTH_CODES } from '../../../src/domain/provider-code.ts'

const call = async (...args: readonly string[]) => {
  let [out, err] = ['', '']
  const code = await run(['error', ...args], {
    env: {},
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    colours: { out: false, err: false },
  })
  return { code, out, err }
}

describe('sallyport error', () => {
  it.each([
    ['AADSTS700027', 'Register the certificate'],
    ['700027', 'AADSTS700027'],
    ['invalid_grant', 'rotation and lifetimes'],
    ['session.refresh-lost', 'the gateway answers 401'],
    ['config.tenants-absent', 'tenants: ['],
    ['config.tenants-absent', 'the configuration is read'],
  ])('%s: says %s', async (code, expected) => {
    const answer = await call(code)
    expect(answer.code).toBe(0)
    expect(answer.out.replaceAll(/\s+/g, ' ')).toContain(expected)
  })
  it('has a shape for scripts', async () => {
    const { out } = await call('AADSTS50173', '-o', 'json')
    expect(JSON.parse(out)).toEqual({
      ok: true,
      code: 'AADSTS50173',
      kind: 'provider',
      where: 'a request for a token',
      means: expect.any(String) as string,
      fix: expect.any(String) as string,
    })
  })
  it.each(['AADSTS1', 'toString', '__proto__', 'canary-secret', '99999999'])('%s is not known, and not repeated', async (code) => {
    const answer = await call(code)
    expect(answer.code).toBe(1)
    expect(answer.out + answer.err).not.toContain(code)
  })
  it('without a code it is wrong usage', async () => expect((await call()).code).toBe(2))
})

it('every number that decides anything is explained', () => {
  const deciding = PROFILES.entra.errors.flatMap(({ numbers }) => numbers ?? [])
  expect(deciding.length).toBeGreaterThan(5)
  expect(deciding.filter((number) => ENTRA_CODES[number] === undefined)).toEqual([])
})

it('every word that a profile decides by, and every one of the common table, is explained', () => {
  const words = Object.values(PROFILES).flatMap(({ errors }) => errors.flatMap(({ error }) => error ?? []))
  const common = [
    'invalid_grant',
    'invalid_client',
    'invalid_target',
    'invalid_scope',
    'interaction_required',
    'login_required',
    'consent_required',
  ]
  expect([...words, ...common].filter((word) => explainCode(word) === undefined)).toEqual([])
  for (const words of [...Object.values(OAUTH_CODES), ...Object.values(ENTRA_CODES)]) {
    expect(words.means).toMatch(/^.{10,}\.$/)
    expect(words.fix).toMatch(/^.{10,}\.$/)
  }
})
