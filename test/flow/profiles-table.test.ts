import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { PROFILE_NAMES } from '../../src/domain/profiles/profiles.ts'
import { type Cell, FLOW_FACTS, IMPOSSIBLE, isAbout } from '../harness/impossible-cells.ts'
import { APIS, routesOf } from '../harness/profiles/routes.ts'
import { FLOW_CELLS, type FlowCell, isPossible, nameOf } from '../harness/profiles/table.ts'
import { findingsOf, load } from '../unit/config/a-config.ts'

const PLACES = {
  entra: ['tenant: 5c1d0f6e-0000-4000-8000-00000000000a'],
  google: [],
  generic: ['issuer: https://id.example.com'],
  keycloak: ['issuer: https://id.example.com/realms/shop'],
  okta: ['issuer: https://shop.okta.com/oauth2/default'],
  auth0: ['issuer: https://shop.auth0.com/'],
} as const
const PLACE = { upstream: 'http://api:1', files: { keys: { a: '/key-a', b: '/key-b' }, account: '/account.json' } }

/** Codes of the errors in a configuration with the routes of one cell, as an operator would write them. */
const errorsOf = (cell: FlowCell): readonly string[] => {
  const isBearer = cell.way.startsWith('bearer') && cell.profile !== 'google'
  const text = [
    'public_url: http://localhost:8080',
    'provider:',
    `  profile: ${cell.profile}`,
    ...PLACES[cell.profile].map((line) => `  ${line}`),
    '  client_id: shop',
    '  client_auth: [{ client_secret_file: /run/secret }]',
    ...(isBearer ? [`  bearer: { audiences: ['${APIS[cell.profile].gateway}'] }`] : []),
    'routes:',
    ...routesOf(cell, PLACE),
  ].join('\n')
  return findingsOf(load(text))
    .filter(({ severity }) => severity === 'error')
    .map(({ code }) => code)
}
const isWayImpossible = ({ profile, way }: FlowCell): boolean => IMPOSSIBLE[`${profile} ${way}` as Cell] !== undefined

it('every cell runs or is listed, and every fact forbids something that nothing else does', () => {
  const listed = FLOW_CELLS.filter((cell) => !isPossible(cell))
  expect([FLOW_CELLS.length, FLOW_CELLS.length - listed.length, listed.length]).toEqual([588, 307, 281])
  for (const one of FLOW_FACTS) {
    const forbidden = listed.filter((cell) => !isWayImpossible(cell) && isAbout(one, cell))
    expect(forbidden.length, one.fact).toBeGreaterThan(0)
    expect(forbidden.filter((cell) => FLOW_FACTS.some((other) => other !== one && isAbout(other, cell))).map(nameOf)).toEqual([])
  }
})

it.each(PROFILE_NAMES)('the column of %s is run', (profile) => {
  expect(existsSync(new URL(`./profiles-${profile}.test.ts`, import.meta.url))).toBe(true)
})

it.each(FLOW_CELLS.filter((cell) => isWayImpossible(cell) && cell.flow === 'first call').map((cell) => [nameOf(cell), cell] as const))(
  '%s: a configuration that wants it is refused',
  (_name, cell) => {
    expect(errorsOf(cell)).not.toEqual([])
  },
)

const REFUSED = FLOW_CELLS.flatMap((cell) => {
  const code = FLOW_FACTS.find((one) => isAbout(one, cell))?.refused
  return code === undefined || isWayImpossible(cell) ? [] : [[nameOf(cell), code, cell] as const]
})
it.each(REFUSED)('%s: a configuration that wants it is refused with %s', (_name, code, cell) => {
  expect(errorsOf(cell)).toContain(code)
})

it('a configuration of what can be is taken', () => {
  const taken = FLOW_CELLS.filter((cell) => isPossible(cell) && cell.way !== '*')
  expect(taken.flatMap((cell) => errorsOf(cell).map((code) => `${nameOf(cell)}: ${code}`))).toEqual([])
})
