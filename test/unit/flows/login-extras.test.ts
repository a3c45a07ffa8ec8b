import { expect, it } from 'vitest'
import { loginExtras } from '../../../src/flows/login-extras.ts'
import { queryOf } from '../../../src/flows/query.ts'

const extras = (name: string, value: string) => loginExtras((asked) => (asked === name ? value : undefined))

it.each`
  name             | value                        | passes   | because
  ${'prompt'}      | ${'none'}                    | ${true}  | ${'silent sign-in'}
  ${'prompt'}      | ${'login consent'}           | ${true}  | ${'a list'}
  ${'prompt'}      | ${'none login'}              | ${false} | ${'none stands alone'}
  ${'prompt'}      | ${'login login'}             | ${false} | ${'twice'}
  ${'prompt'}      | ${'create'}                  | ${false} | ${'not in the list'}
  ${'prompt'}      | ${'login '}                  | ${false} | ${'an empty word'}
  ${'login_hint'}  | ${'ada@example.com'}         | ${true}  | ${'an address'}
  ${'login_hint'}  | ${'Ada Lovelace'}            | ${true}  | ${'single blanks'}
  ${'login_hint'}  | ${'ädä@example.com'}         | ${true}  | ${'names are not ASCII'}
  ${'login_hint'}  | ${'a\r\nb'}                  | ${false} | ${'control characters'}
  ${'login_hint'}  | ${'a\u202eb'}                | ${false} | ${'direction marks'}
  ${'login_hint'}  | ${'x'.repeat(257)}           | ${false} | ${'too long'}
  ${'domain_hint'} | ${'contoso.onmicrosoft.com'} | ${true}  | ${'a domain'}
  ${'domain_hint'} | ${'a b'}                     | ${false} | ${'no domain'}
  ${'ui_locales'}  | ${'de-CH de en'}             | ${true}  | ${'BCP 47 tags'}
  ${'ui_locales'}  | ${'de,en'}                   | ${false} | ${'separated by blanks, OIDC Core §3.1.2.1'}
`('$name=$value passes: $passes, $because', ({ name, value, passes }) => {
  expect(extras(name, value)).toEqual(passes ? { [name]: value } : undefined)
})

it.each(['scope', 'claims', 'redirect_uri', 'request_uri', 'acr_values', 'state', 'resource'])('never passes on %s', (name) => {
  expect(extras(name, 'x')).toEqual({})
})

it('a linear grammar: a hostile hint of 100 kB is refused at once', () => {
  expect(extras('login_hint', 'a '.repeat(50_000))).toBeUndefined()
  expect(extras('ui_locales', 'a '.repeat(50_000))).toBeUndefined()
})

it.each`
  url                     | doubled  | because
  ${'/x'}                 | ${false} | ${'no query'}
  ${'/x?a=1&b=2'}         | ${false} | ${'each once'}
  ${'/x?a=1&a=1'}         | ${true}  | ${'twice, even if equal'}
  ${'/x?a=1&%61=2'}       | ${true}  | ${'twice, spelled differently'}
  ${'/x?__proto__=1&a=2'} | ${false} | ${'a name like any other'}
`('$url is doubled: $doubled, $because', ({ url, doubled }) => {
  expect(queryOf(url).kind).toBe(doubled ? 'doubled' : 'query')
})
