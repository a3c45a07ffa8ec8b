import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../../src/kernel/secret.ts'
import { isWellFormed, sessionCookieJar } from '../../../src/session/cookie.ts'

const jar = sessionCookieJar(new URL('https://shop.example.com'))
const N = '__Host-Http-sallyport'
const V = 'Abc-_789'.repeat(8)
const W = 'Zyx-_123'.repeat(8)
const NBSP = '\u00a0'

it.each`
  publicUrl                         | name
  ${'https://shop.example.com'}     | ${N}
  ${'https://shop.example.com:444'} | ${N}
  ${'http://localhost:8080'}        | ${`${N}-8080`}
  ${'http://127.0.0.1:3000'}        | ${`${N}-3000`}
  ${'http://localhost'}             | ${`${N}-80`}
`('is named $name on $publicUrl', ({ publicUrl, name }) => {
  expect(sessionCookieJar(new URL(publicUrl)).name).toBe(name)
})

it('is set with exactly the attributes that browsers demand for its prefix, and no more', () => {
  const cookie = Secret.of('session-cookie', V)
  expect(jar.set(cookie)).toEqual({ name: N, value: cookie, sameSite: 'strict', priority: 'high' })
})

it('is cleared under the same attributes, else the browser keeps it', () => {
  expect(jar.cleared()).toEqual({ name: N, value: undefined, sameSite: 'strict', priority: 'high', maxAgeSeconds: 0 })
})

describe('reading the Cookie header', () => {
  it.each`
    header                              | read                | because
    ${undefined}                        | ${undefined}        | ${'there is none'}
    ${''}                               | ${undefined}        | ${'it is empty'}
    ${`${N}=${V}`}                      | ${V}                | ${'ours alone'}
    ${`a=1; ${N}=${V}; b=2`}            | ${V}                | ${'ours among others'}
    ${`a=1;${N}=${V};b=2`}              | ${V}                | ${'no blanks'}
    ${`a=1; \t ${N}=${V}`}              | ${V}                | ${'many blanks'}
    ${`; ${N}=${V}`}                    | ${V}                | ${'an empty cookie before it'}
    ${`a=1; b=2`}                       | ${undefined}        | ${'others only'}
    ${`${N}=${V}; ${N}=${W}`}           | ${'doubled'}        | ${'two values'}
    ${`${N}=${V}; ${N}=${V}`}           | ${'doubled'}        | ${'two equal values'}
    ${`${N}=${V}; a=1; ${N}=`}          | ${'doubled'}        | ${'the second is empty'}
    ${`${N}=; ${N}=${V}`}               | ${'doubled'}        | ${'the first is empty'}
    ${`${N}=${V};${N}=${W}`}            | ${'doubled'}        | ${'two without blanks'}
    ${`x${N}=${V}`}                     | ${undefined}        | ${'a longer name that ends like ours'}
    ${`x${N}=${W}; ${N}=${V}`}          | ${V}                | ${'the longer name first'}
    ${`${N}=${V}; x${N}=${W}`}          | ${V}                | ${'the longer name last'}
    ${`${N}-8080=${V}`}                 | ${undefined}        | ${'a longer name that starts like ours'}
    ${`${N}-login-abc=${W}; ${N}=${V}`} | ${V}                | ${'an attempt cookie is another one'}
    ${`${NBSP}${N}=${V}`}               | ${undefined}        | ${'NBSP is not a blank'}
    ${`a=1;${NBSP}${N}=${V}`}           | ${undefined}        | ${'NBSP after the semicolon'}
    ${`a=1;\u0085${N}=${V}`}            | ${undefined}        | ${'NEL'}
    ${`a=1;\u000b${N}=${V}`}            | ${undefined}        | ${'vertical tab'}
    ${`${N}${NBSP}=${V}`}               | ${undefined}        | ${'NBSP within the name'}
    ${`${N} =${V}`}                     | ${undefined}        | ${'a blank before the equals sign'}
    ${`__host-http-sallyport=${V}`}     | ${undefined}        | ${'lower case is another cookie'}
    ${`__HOST-HTTP-SALLYPORT=${V}`}     | ${undefined}        | ${'upper case as well'}
    ${`__Host-Http-Sallyport=${V}`}     | ${undefined}        | ${'one letter as well'}
    ${`__Host-sallyport=${V}`}          | ${undefined}        | ${'a weaker prefix'}
    ${`a=${N}=${V}`}                    | ${undefined}        | ${'our name within another value'}
    ${`a="; ${N}=${V}"`}                | ${`${V}"`}          | ${'quotes mean nothing to a browser; what follows is malformed'}
    ${`${N}="${V}"`}                    | ${`"${V}"`}         | ${'quotes belong to the value'}
    ${`${N}=${V} `}                     | ${`${V} `}          | ${'trailing blanks belong to the value'}
    ${`${N}= ${V}`}                     | ${` ${V}`}          | ${'leading blanks as well'}
    ${`${N}=${V},${N}=${W}`}            | ${`${V},${N}=${W}`} | ${'a comma separates nothing'}
    ${N}                                | ${undefined}        | ${'no equals sign'}
    ${`${N}=`}                          | ${''}               | ${'empty'}
  `('$header reads as $read: $because', ({ header, read }) => {
    expect(jar.read(header)).toBe(read)
  })

  it('finds ours in a header of 10 kB, and refuses a second one at its end', () => {
    const many = Array.from({ length: 300 }, (_, n) => `cookie${n}=${randomBytes(12).toString('hex')}`).join('; ')
    expect(many.length).toBeGreaterThan(10_000)
    expect(jar.read(`${many}; ${N}=${V}; ${many}`)).toBe(V)
    expect(jar.read(`${N}=${V}; ${many}; ${N}=${V}`)).toBe('doubled')
    expect(jar.read(`x${N}=`.repeat(500))).toBeUndefined()
  })

  it('reads what a plain split of the header reads', () => {
    const name = fc.constantFrom(N, `x${N}`, `${N}x`, N.toLowerCase(), 'a', '')
    const cookie = fc.tuple(
      fc.constantFrom('', ' ', '  ', '\t', NBSP),
      name,
      fc.constantFrom('=', '', ' ='),
      fc.constantFrom(V, '', 'a=b', `${N}=`),
    )
    fc.assert(
      fc.property(fc.array(cookie, { maxLength: 6 }), (cookies) => {
        const header = cookies.map((parts) => parts.join('')).join(';')
        const ours = header
          .split(';')
          .map((part) => part.replace(/^[ \t]+/, ''))
          .filter((part) => part.startsWith(`${N}=`))
          .map((part) => part.slice(N.length + 1))
        expect(jar.read(header)).toBe(ours.length > 1 ? 'doubled' : ours[0])
      }),
      { numRuns: 1000 },
    )
  })
})

it.each`
  value                    | ok       | because
  ${V}                     | ${true}  | ${'64 base64url characters'}
  ${''}                    | ${false} | ${'empty'}
  ${V.slice(1)}            | ${false} | ${'too short'}
  ${`${V}A`}               | ${false} | ${'too long'}
  ${`${V.slice(1)}=`}      | ${false} | ${'padding'}
  ${`${V.slice(1)}+`}      | ${false} | ${'the other alphabet'}
  ${`${V.slice(1)}\n`}     | ${false} | ${'a line end'}
  ${`${V.slice(1)} `}      | ${false} | ${'a trailing blank'}
  ${`"${V.slice(2)}"`}     | ${false} | ${'quotes'}
  ${`${V.slice(1)}\u00e9`} | ${false} | ${'a letter beyond ASCII'}
  ${`${V.slice(3)}%41`}    | ${false} | ${'nothing is decoded'}
  ${'doubled'}             | ${false} | ${'the word for two cookies is never a value'}
`('$value is well-formed: $ok, $because', ({ value, ok }) => {
  expect(isWellFormed(value)).toBe(ok)
})
