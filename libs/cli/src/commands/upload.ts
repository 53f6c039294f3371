import type { files } from '@emotune/proto';
import { type Channel, type Client, everyPage } from '@emotune/service/client';
import { messageJson } from '@emotune/service/spec';
import { table } from '../format/text.js';
import { type AddCommands, asks } from './options.js';

const filesOf = (channel: Channel): Client<files.FileServiceClient> => channel.client('FileService');

export const addUploadCommands: AddCommands = (program, io) => {
  const upload = program
    .command('upload')
    .description('files that commands have sent; each is removed by itself seven days after it came');

  upload
    .command('list')
    .description('list all of them')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const all = await everyPage(
          (pageToken) => filesOf(channel).call('listUploads', { pageToken }, { signal }),
          (reply) => reply.uploads,
        );
        const rows = all.map(({ sha256, bytes, complete, uploadTime }) => [
          sha256,
          bytes.toLocaleString('en-US'),
          complete ? 'whole' : 'on its way',
          uploadTime ? new Date(1000 * uploadTime.seconds).toISOString() : '',
        ]);
        await session.answer(
          all.map((one) => messageJson('emotune.files.v1.StoredUpload', one)),
          () => table(['sha256', 'bytes', 'state', 'came'], rows),
        );
      }),
    );

  upload
    .command('delete')
    .description('delete one that nothing is still to be made of')
    .argument('<sha256>', 'as "emotune upload list" prints it')
    .action(
      asks(io, async ({ session, channel, signal }, sha256: string) => {
        const { bytes } = await filesOf(channel).call('deleteUpload', { sha256 }, { signal });
        await session.answer(
          { sha256, bytes, deleted: true },
          () => `upload ${sha256} is deleted, ${bytes.toLocaleString('en-US')} bytes`,
        );
      }),
    );
};
