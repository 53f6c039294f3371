import { type DynamicModule, Module } from '@nestjs/common';
import { DatasetController } from './dataset.controller.js';
import { type DataContext, Datasets } from './datasets.js';
import { FileController } from './file.controller.js';
import { Files } from './files.js';

@Module({})
class DataServiceModule {}

/** The data service: sources, dataset versions, and files in and out. */
export function dataModule(context: DataContext): DynamicModule {
  return {
    module: DataServiceModule,
    controllers: [DatasetController, FileController],
    providers: [
      { provide: Datasets, useValue: new Datasets(context) },
      { provide: Files, useValue: new Files(context) },
    ],
  };
}
