import { proveProfile } from '../harness/profiles/prove.ts'

proveProfile('generic')
