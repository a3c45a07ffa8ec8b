import { proveProfile } from '../harness/profiles/prove.ts'

proveProfile('auth0')
