// sb_synth: who gets which ids, the folders and tables, and the loop over people.
#include "samebrain/synth.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/random.h"
#include "core/threads.h"
#include "image/nifti_save.h"
#include "prepare/template.h"
#include "synth/base.h"
#include "synth/person.h"
#include "synth/session.h"

sb_synth_options sb_synth_options_default(void) {
  return (sb_synth_options){.subjects = 12, .sessions = 2, .seed = 1};
}

// A BIDS folder that is being written: all of the cohort, or one half of it.
typedef struct database {
  char *folder;
  char *name;         // the dataset's name, the folder's
  const char *prefix; // of its participants' ids
  int first_session, session_count;
  int *number_of; // the number in the id of each person
} database;

typedef struct cohort {
  const sb_synth_options *options;
  char *folder;
  sb_base base;
  bool procedural;
  database databases[2];
  int database_count;
} cohort;

static void free_cohort(cohort *c) {
  for (int d = 0; d < 2; d++) {
    free(c->databases[d].folder);
    free(c->databases[d].name);
    free(c->databases[d].number_of);
  }
  free(c->folder);
  sb_base_free(&c->base);
}

static void scan_id(const database *db, int person, int session, char id[64]) {
  snprintf(id, 64, "sub-%s%04d_ses-%02d", db->prefix, db->number_of[person],
           session - db->first_session + 1);
}

// ---- Before the first scan ----------------------------------------------------------------------

static sb_status check(const sb_synth_options *o) {
  if (o->subjects < 1 || o->subjects > 9999)
    return sb_error(SB_USAGE, "%d subjects: expects 1 to 9,999", o->subjects);
  if (o->sessions < 1 || o->sessions > 99)
    return sb_error(SB_USAGE, "%d sessions: expects 1 to 99", o->sessions);
  if (o->split && o->sessions < 2)
    return sb_error(SB_USAGE, "two databases need at least 2 sessions of each person");
  if (o->voxel_mm != 0 && !(o->voxel_mm >= 0.5 && o->voxel_mm <= 5))
    return sb_error(SB_USAGE, "voxels of %g mm: expects 0.5 to 5, or 0 for varying ones",
                    o->voxel_mm);
  return sb_ok();
}

// The folder, made if it is not there; its absolute path, since its last part names the dataset.
static sb_status open_folder(const char *dir, char **out) {
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_ok();
  SB_TRY(sb_make_folder(dir));
  SB_TRY(sb_list_folder(dir, &names, &count));
  if (count > 0) {
    status = sb_error(SB_USAGE, "%s: the folder is not empty (it has %s); name a new one", dir,
                      names[0]);
    goto cleanup;
  }
  *out = realpath(dir, NULL);
  if (*out == NULL) status = sb_error(SB_IO, "%s: cannot resolve the path", dir);
cleanup:
  sb_free_names(names, count);
  return status;
}

static sb_status load_base(cohort *c) {
  const char *base = c->options->base;
  if (base == NULL) base = sb_template_default_path();
  c->procedural = base == NULL || strcmp(base, "procedural") == 0;
  return c->procedural ? sb_base_procedural(&c->base) : sb_base_load(base, &c->base);
}

// People's numbers: in order, or shuffled (Fisher and Yates).
static sb_status number_people(int people, bool shuffled, uint64_t key, int **out) {
  sb_status status = SB_NEW(out, people, "ids");
  if (status.code != SB_OK) return status;
  for (int i = 0; i < people; i++) (*out)[i] = i + 1;
  for (int i = people - 1; shuffled && i > 0; i--) {
    int other = (int)(sb_random_bits(key, (uint64_t)i) % (uint64_t)(i + 1));
    int kept = (*out)[i];
    (*out)[i] = (*out)[other];
    (*out)[other] = kept;
  }
  return sb_ok();
}

static sb_status plan_database(cohort *c, const char *name, int first_session, int session_count) {
  database *db = &c->databases[c->database_count++];
  db->first_session = first_session;
  db->session_count = session_count;
  db->prefix = c->options->split ? name : "";
  db->folder = c->options->split ? sb_path_join(c->folder, name) : sb_strdup(c->folder);
  if (db->folder != NULL) db->name = sb_path_base(db->folder);
  if (db->name == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  return number_people(c->options->subjects, first_session > 0,
                       sb_random_key(c->options->seed, UINT64_MAX), &db->number_of);
}

static sb_status plan(cohort *c) {
  int sessions = c->options->sessions;
  if (!c->options->split) return plan_database(c, NULL, 0, sessions);
  sb_status status = plan_database(c, "A", 0, 1);
  if (status.code == SB_OK) status = plan_database(c, "B", 1, sessions - 1);
  return status;
}

// ---- Tables and texts ---------------------------------------------------------------------------

static const char ABOUT[] =
    "Synthetic brain scans written by samebrain synth %s (seed %" PRIu64 ").\n\n"
    "No person was scanned. Each \"person\" is one brain (%s) deformed by\n"
    "smooth random fields at several scales and given folds of its own; each session has its own\n"
    "pose, bias field, noise, contrast, outline, resolution and storage orientation. The scans "
    "are\n"
    "skull-stripped: voxels outside the brain are 0. They serve demonstrations and tests and say\n"
    "nothing about how well real people can be told apart.\n";

static const char PROCEDURAL_ABOUT[] =
    "\nThe brain they come from is template_T1w.nii.gz in the folder where identities.tsv is: use "
    "it\n"
    "to prepare them, as in\n  samebrain prepare FOLDER -o STORE --template template_T1w.nii.gz\n";

static const char DESCRIPTION[] = "{\n"
                                  "  \"Name\": \"Synthetic brain scans\",\n"
                                  "  \"BIDSVersion\": \"1.8.0\",\n"
                                  "  \"DatasetType\": \"raw\",\n"
                                  "  \"License\": \"CC0\",\n"
                                  "  \"GeneratedBy\": [\n"
                                  "    {\n"
                                  "      \"Name\": \"samebrain synth\",\n"
                                  "      \"Version\": \"%s\",\n"
                                  "      \"Description\": \"synthetic: no person was scanned\"\n"
                                  "    }\n"
                                  "  ]\n"
                                  "}\n";

// Opens DIR/NAME for writing; `file` is ready for fprintf.
static sb_status create_in(const char *folder, const char *name, sb_new_file *file) {
  char *path = sb_path_join(folder, name);
  if (path == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  sb_status status = sb_file_create(path, file);
  free(path);
  return status;
}

static sb_status write_texts(const cohort *c, const database *db) {
  sb_new_file file = {0};
  sb_status status = sb_ok();
  SB_TRY(create_in(db->folder, "README", &file));
  fprintf(file.file, ABOUT, sb_version(), c->options->seed,
          c->procedural ? "made from formulas" : "a template");
  if (c->procedural) fputs(PROCEDURAL_ABOUT, file.file);
  SB_TRY(sb_file_commit(&file));
  SB_TRY(create_in(db->folder, "dataset_description.json", &file));
  fprintf(file.file, DESCRIPTION, sb_version());
  SB_TRY(sb_file_commit(&file));
  SB_TRY(create_in(db->folder, "participants.tsv", &file));
  fputs("participant_id\n", file.file);
  for (int i = 1; i <= c->options->subjects; i++) fprintf(file.file, "sub-%s%04d\n", db->prefix, i);
  SB_TRY(sb_file_commit(&file));
cleanup:
  sb_file_abandon(&file);
  return status;
}

static sb_status write_identities(const cohort *c) {
  sb_new_file file = {0};
  sb_status status = sb_ok();
  SB_TRY(create_in(c->folder, "identities.tsv", &file));
  fputs("dataset\tscan_id\tperson\n", file.file);
  for (int d = 0; d < c->database_count; d++) {
    const database *db = &c->databases[d];
    for (int person = 0; person < c->options->subjects; person++)
      for (int s = 0; s < db->session_count; s++) {
        char id[64];
        scan_id(db, person, db->first_session + s, id);
        fprintf(file.file, "%s\t%s\tperson-%04d\n", db->name, id, person + 1);
      }
  }
  SB_TRY(sb_file_commit(&file));
cleanup:
  sb_file_abandon(&file);
  return status;
}

static sb_status write_template(const cohort *c) {
  if (!c->procedural) return sb_ok();
  char *path = sb_path_join(c->folder, "template_T1w.nii.gz");
  if (path == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  sb_status status = sb_volume_save(&c->base.image, path);
  free(path);
  return status;
}

// ---- Scans --------------------------------------------------------------------------------------

static sb_status write_scan(const database *db, int person, int session, const sb_volume *volume) {
  char id[64];
  scan_id(db, person, session, id);
  int participant = (int)strcspn(id, "_");
  char *folder = sb_format("%s/%.*s/%s/anat", db->folder, participant, id, id + participant + 1);
  char *path = folder == NULL ? NULL : sb_format("%s/%s_T1w.nii.gz", folder, id);
  sb_status status = sb_ok();
  if (path == NULL) {
    status = sb_error(SB_NO_MEMORY, "out of memory");
    goto cleanup;
  }
  SB_TRY(sb_make_folder(folder));
  SB_TRY(sb_volume_save_as(volume, path, SB_SAVE_INT16, 1, 0));
cleanup:
  free(path);
  free(folder);
  return status;
}

static sb_status make_person(const cohort *c, int number) {
  uint64_t key = sb_random_key(c->options->seed, (uint64_t)number);
  sb_person person = {0};
  sb_volume volume = {0};
  sb_status status = sb_ok();
  SB_TRY(sb_person_create(&c->base, sb_random_key(key, 0), &person));
  for (int d = 0; d < c->database_count; d++) {
    const database *db = &c->databases[d];
    for (int s = 0; s < db->session_count; s++) {
      int session = db->first_session + s;
      SB_TRY(sb_session_render(&c->base, &person, sb_random_key(key, (uint64_t)session + 1),
                               c->options->voxel_mm, &volume));
      SB_TRY(write_scan(db, number, session, &volume));
      sb_volume_free(&volume);
    }
  }
cleanup:
  sb_volume_free(&volume);
  sb_person_free(&person);
  return status;
}

// Everyone, one person a job. The first failure, by person, is the one reported.
static sb_status make_people(const cohort *c, const sb_progress *progress) {
  int people = c->options->subjects, done = 0, failed = INT_MAX;
  sb_status first = sb_ok();
#pragma omp parallel for schedule(dynamic) num_threads(sb_thread_count(c->options->threads))
  for (int person = 0; person < people; person++) {
    bool stop;
#pragma omp critical(sb_synth_people)
    stop = failed < person;
    if (stop) continue;
    sb_status status = make_person(c, person);
#pragma omp critical(sb_synth_people)
    {
      if (status.code != SB_OK && person < failed) {
        failed = person;
        first = status;
      }
      done++;
      if (progress != NULL && progress->advance != NULL)
        progress->advance(progress->context, "people", done, people);
    }
  }
  return first;
}

sb_status sb_synth(const char *dir, const sb_synth_options *options, const sb_progress *progress) {
  const sb_synth_options defaults = sb_synth_options_default();
  cohort c = {.options = options != NULL ? options : &defaults};
  sb_status status = sb_ok();
  SB_TRY(check(c.options));
  SB_TRY(open_folder(dir, &c.folder));
  SB_TRY(load_base(&c));
  if (c.procedural && c.options->base == NULL && progress != NULL && progress->warn != NULL)
    progress->warn(progress->context, "no template brain found; using a procedural one");
  SB_TRY(plan(&c));
  for (int d = 0; d < c.database_count; d++) {
    SB_TRY(sb_make_folder(c.databases[d].folder));
    SB_TRY(write_texts(&c, &c.databases[d]));
  }
  SB_TRY(write_template(&c));
  SB_TRY(make_people(&c, progress));
  SB_TRY(write_identities(&c)); // last: a cohort with its identities.tsv is complete
cleanup:
  free_cohort(&c);
  return status;
}
