import { FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { passes, s3Error } from './s3-errors.js';
import { s3PlaceOf, urlOf } from './s3-place.js';

const place = s3PlaceOf('s3://tuning/prod?region=eu-west-1', {});

/** As the client throws what AWS answers. */
const answer = (status: number, name: string, message = '', more: object = {}) =>
  Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status }, ...more });
const network = (code: string) => Object.assign(new Error(code), { code });

describe('what S3 says', () => {
  it.each([
    [answer(403, 'AccessDenied'), FailedPrecondition, 'may not put a (AccessDenied); allow s3:ListBucket'],
    [
      answer(403, '403'),
      FailedPrecondition,
      's3:DeleteObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts on prod/*',
    ],
    [answer(404, 'NoSuchBucket'), FailedPrecondition, 'there is no such bucket; create it'],
    [answer(400, 'ExpiredToken'), Unavailable, 'the credentials have expired (ExpiredToken); renew them'],
    [answer(403, 'InvalidAccessKeyId'), FailedPrecondition, 'the credentials are not accepted'],
    [answer(403, 'RequestTimeTooSkewed'), FailedPrecondition, 'the clock of this machine is wrong'],
    [
      answer(301, 'PermanentRedirect', '', {
        $response: { headers: { 'x-amz-bucket-region': 'eu-central-1' } },
      }),
      FailedPrecondition,
      'the bucket is in another region; set AWS_REGION to eu-central-1',
    ],
    [
      answer(400, 'AuthorizationHeaderMalformed', "the region 'a' is wrong; expecting 'eu-west-3'"),
      FailedPrecondition,
      'set AWS_REGION to eu-west-3',
    ],
    [answer(507, 'XMinioStorageFull'), ResourceExhausted, 'there is no room (XMinioStorageFull)'],
    [answer(404, 'NoSuchKey'), NotFound, 'expected what to put a'],
    [
      answer(503, 'SlowDown', 'reduce your rate'),
      Unavailable,
      'cannot be reached to put a: reduce your rate',
    ],
    [network('ECONNRESET'), Unavailable, 'cannot be reached to put a: ECONNRESET'],
    [network('DEPTH_ZERO_SELF_SIGNED_CERT'), FailedPrecondition, 'name its authority in NODE_EXTRA_CA_CERTS'],
    [Object.assign(new Error('Region is missing')), FailedPrecondition, 'no region is set; set AWS_REGION'],
  ])('%s', (error, kind, message) => {
    const told = s3Error(error, place, 'put a') as Error;
    expect(told).toBeInstanceOf(kind);
    expect(told.message).toContain(`s3://tuning`);
    expect(told.message).toContain(message);
    expect(told.cause).toBe(error);
  });

  it('is asked again where it passes by itself', () => {
    const passing = [
      answer(503, 'SlowDown'),
      answer(500, 'InternalError'),
      answer(429, 'x'),
      network('ENOTFOUND'),
    ];
    const lasting = [
      answer(403, 'AccessDenied'),
      answer(400, 'ExpiredToken'),
      answer(501, 'NotImplemented'),
      network('CERT_HAS_EXPIRED'),
    ];
    expect([passing.map(passes), lasting.map(passes)]).toEqual([
      passing.map(() => true),
      lasting.map(() => false),
    ]);
  });
});

describe('the URL of a place', () => {
  const variables = { EMOTUNE_S3_ENDPOINT: 'https://s3.local:9000/', AWS_REGION: 'eu-north-1' };

  it.each([
    ['s3://tuning', {}, 's3://tuning'],
    ['s3://tuning/', { AWS_DEFAULT_REGION: 'eu-west-1' }, 's3://tuning?region=eu-west-1'],
    [
      's3://tuning/a/b/',
      variables,
      's3://tuning/a/b?endpoint=https%3A%2F%2Fs3.local%3A9000&region=eu-north-1',
    ],
    [
      's3://t-1/a?endpoint=http://h',
      { AWS_REGION: '' },
      's3://t-1/a?endpoint=http%3A%2F%2Fh&region=us-east-1',
    ],
  ])('%s says all that is needed', (url, given, whole) => {
    expect(urlOf(s3PlaceOf(url, given))).toBe(whole);
    expect(urlOf(s3PlaceOf(whole, {}))).toBe(whole);
  });

  it.each([
    ['s3://key:secret@bucket', 'expected s3://bucket/prefix without credentials'],
    ['s3://UP', 'expected the name of a bucket after s3://, got "UP"'],
    ['s3:bucket', 'expected the name of a bucket'],
    ['s3://bucket/a//b', 'key: expected a relative path'],
    ['s3://bucket?secret=x', 'expected "endpoint" and "region" after "?", got "secret"'],
    ['s3://bucket?endpoint=ftp://host', 'expected https://host or https://host:port as the endpoint'],
    ['s3://bucket?endpoint=http://u:secret@host', 'without a password, got one with "http:"'],
  ])('%s is refused', (url, message) => {
    expect(() => s3PlaceOf(url, {})).toThrow(InvalidArgument);
    expect(() => s3PlaceOf(url, {})).toThrow(message);
  });
});
