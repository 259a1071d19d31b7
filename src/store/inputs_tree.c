// Scans in plain folders: every NIfTI file in a folder and those below it, labelled by their paths.
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/memory.h"
#include "store/inputs.h"
#include "store/inputs_names.h"

enum {
  MOST_DEPTH = 16,    // of folders below the given one
  MOST_OF_PERSON = 20 // images; a folder of more is a group's
};

// An image that was found: where, and its path from the given folder on.
typedef struct found {
  char *path, *below;
} found;

// A walk through the folders below one.
typedef struct walk {
  sb_finder *finder;
  const char *folder, *dataset;
  char **roots; // real paths of the given folder, and of those entered through links
  size_t root_count;
  found *found; // not labelled yet
  size_t found_count;
  // What told the labels of images in folders below.
  size_t by_name, by_folder, unknown;
  char *person, *group; // a folder taken as a person's, and one that is not
} walk;

// ---- Labels -------------------------------------------------------------------------------------

// "a_b" of "a/b": where a thing lies is part of its name, as files of many people, and BIDS folders of many
// studies, may be called alike. Takes over and gives back `below`, NULL when memory was short.
static char *as_name(char *below) {
  for (char *at = below; at != NULL && *at != '\0'; at++)
    if (*at == '/') *at = '_';
  return below;
}

static bool lies_directly(const char *below) {
  const char *slash = strchr(below, '/');
  return slash != NULL && strchr(slash + 1, '/') == NULL;
}

// Whether a folder of images that tell no labels is one person's. It is a group's where many images are
// in it, or several lie side by side whose names tell neither the folder's nor just a visit: "x" and "y"
// may be two people, as may "scan1" and "scan2".
static bool is_persons(const char *folder, const found *images, size_t count) {
  size_t others = 0;
  for (size_t i = 0; i < count; i++) {
    const char *slash = strchr(images[i].below, '/');
    others += lies_directly(images[i].below) && strstr(slash, folder) == NULL &&
              !sb_name_is_visit(slash + 1);
  }
  return count <= MOST_OF_PERSON && others < 2;
}

// Adds an image; `person` is whose it is where its path does not tell, or NULL.
static sb_status add(walk *w, found *image, const char *person) {
  const char *slash = strrchr(image->below, '/'), *name = slash == NULL ? image->below : slash + 1;
  sb_scan scan = {.dataset = sb_strdup(w->dataset),
                  .scan_id = as_name(sb_name_scan_id(image->below)),
                  .mask_path = sb_mask_beside(image->path, name),
                  .source_path = image->path};
  image->path = NULL;
  sb_status status = sb_labels_of(image->below, &scan.participant, &scan.session);
  if (status.code != SB_OK) {
    sb_scan_release(&scan);
    return status;
  }
  const bool told = scan.participant[0] != '\0';
  if (!told && person != NULL) {
    free(scan.participant);
    scan.participant = sb_name_with_prefix("sub-", person);
  }
  if (slash != NULL) {
    w->by_name += told;
    w->by_folder += !told && person != NULL;
    w->unknown += !told && person == NULL;
  }
  return sb_finder_add(w->finder, &scan);
}

// Adds what was found in one of the given folder's folders, or, without `folder`, in itself.
static sb_status add_found(walk *w, const char *folder) {
  size_t unlabelled = 0;
  sb_status status = sb_ok();
  const bool persons = folder != NULL && is_persons(folder, w->found, w->found_count);
  for (size_t i = 0; i < w->found_count && status.code == SB_OK; i++) {
    const size_t told_before = w->by_name;
    status = add(w, &w->found[i], persons ? folder : NULL);
    unlabelled += folder != NULL && w->by_name == told_before;
  }
  for (size_t i = 0; i < w->found_count; i++) {
    free(w->found[i].path);
    free(w->found[i].below);
  }
  w->found_count = 0;
  char **example = persons ? &w->person : &w->group;
  if (unlabelled == 0 || *example != NULL || status.code != SB_OK) return status;
  *example = sb_strdup(folder);
  return *example != NULL ? status : sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
}

static sb_status note_labels(walk *w) {
  const size_t count = w->by_name + w->by_folder + w->unknown;
  sb_status status;
  if (count == 0) return sb_ok();
  SB_TRY(sb_finder_note(
      w->finder,
      "%s: participants of %zu image%s in its folders: %zu told by names on the way "
      "(sub-, ADNI, OASIS), %zu by the first folder, %zu unknown; a manifest "
      "overrides this",
      w->folder, count, count == 1 ? "" : "s", w->by_name, w->by_folder, w->unknown));
  if (w->person != NULL)
    SB_TRY(
        sb_finder_warn(w->finder,
                       "%s: participants of %zu image%s are a guess: folders such as %s are each "
                       "taken as one person's; where they are not, name them one by one as "
                       "inputs, or write a manifest",
                       w->folder, w->by_folder, w->by_folder == 1 ? "" : "s", w->person));
  if (w->group != NULL)
    SB_TRY(sb_finder_note(w->finder,
                          "%s: folders such as %s are not taken as one person's, as they hold more "
                          "than %d images or several of other names side by side",
                          w->folder, w->group, MOST_OF_PERSON));
cleanup:
  return status;
}

// ---- The walk -----------------------------------------------------------------------------------

static sb_status keep_found(walk *w, const char *folder, const char *below, const char *name) {
  const bool full = (w->found_count & (w->found_count - 1)) == 0; // room for the next power of two
  found *grown = w->found;
  if (full)
    grown = realloc(w->found, (w->found_count == 0 ? 1 : 2 * w->found_count) * sizeof *grown);
  if (grown == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  w->found = grown;
  found *image = &grown[w->found_count++];
  image->path = sb_path_join(folder, name);
  image->below = below[0] == '\0' ? sb_strdup(name) : sb_path_join(below, name);
  return image->path != NULL && image->below != NULL
             ? sb_ok()
             : sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
}

// Whether names[at], the header of a .hdr/.img pair, has its image among the names. They are sorted, so
// that those with its stem and a dot lie around it.
static bool image_listed(char *const *names, size_t count, size_t at) {
  const char *header = names[at];
  size_t stem = sb_name_stem(header), first = at;
  while (first > 0 && strncmp(names[first - 1], header, stem + 1) == 0) first--;
  for (size_t i = first; i < count && strncmp(names[i], header, stem + 1) == 0; i++)
    if (sb_name_stem(names[i]) == stem && strncasecmp(names[i] + stem, ".img", 4) == 0) return true;
  return false;
}

static bool is_image(const char *name) {
  return name[0] != '.' && sb_name_stem(name) > 0 && !sb_name_is_brain_mask(name);
}

// An image of a format that is not read.
static bool is_foreign(const char *name) {
  static const char *const endings[] = {".mgz", ".mgh", ".dcm", ".ima", ".mnc", ".nrrd"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (sb_name_ends(name, endings[i])) return true;
  return false;
}

// The images in one folder; of a .hdr/.img pair the image stands for both.
static sb_status find_images(walk *w, const char *folder, const char *below, char *const *names,
                             size_t count) {
  sb_finder *f = w->finder;
  const bool spaces = sb_takes_spaces(f, names, count, is_image);
  sb_status status = sb_ok();
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    if (is_foreign(names[i])) status = sb_tally_add(&f->foreign, names[i]);
    if (!is_image(names[i]) || (sb_name_is_header(names[i]) && image_listed(names, count, i)))
      continue;
    char *path = sb_path_join(folder, names[i]);
    const bool is_folder = path != NULL && sb_is_folder(path);
    free(path);
    if (is_folder) continue;
    if (sb_name_is_other_kind(names[i]))
      status = sb_tally_add(&f->other_kinds, names[i]);
    else if (sb_passes_over_space(f, names[i], spaces))
      status = sb_tally_add(&f->other_spaces, names[i]);
    else
      status = keep_found(w, folder, below, names[i]);
  }
  return status;
}

static bool lies_within(const char *path, const char *folder) {
  const size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 &&
         (path[length] == '\0' || path[length] == '/' || strcmp(folder, "/") == 0);
}

// Whether a link to a folder leads to what the walk does not see otherwise; then it is a root as well. It
// does not where it leads to a folder above the given one, or above itself: that is a circle. A folder
// above another root is entered, for what else is in it (see seen_before).
static bool leads_elsewhere(walk *w, const char *path) {
  char *real = realpath(path, NULL), *link = sb_path_absolute(path);
  bool elsewhere = real != NULL && link != NULL;
  if (elsewhere && w->root_count > 0)
    elsewhere = !lies_within(link, real) && !lies_within(w->roots[0], real);
  for (size_t i = 0; i < w->root_count && elsewhere; i++)
    elsewhere = !lies_within(real, w->roots[i]);
  free(link);
  char **grown = elsewhere ? realloc((void *)w->roots, (w->root_count + 1) * sizeof *grown) : NULL;
  if (grown == NULL) {
    free(real);
    return false;
  }
  w->roots = grown;
  grown[w->root_count++] = real;
  return true;
}

// Whether what is found in a folder or below it lies in a root that was entered from elsewhere.
static bool seen_before(const walk *w, const char *folder, const char *path) {
  if (w->root_count < 2) return false;
  char *from = sb_path_real(folder), *at = sb_path_absolute(path);
  bool seen = false;
  for (size_t i = 0; i < w->root_count && from != NULL && at != NULL; i++)
    seen = seen || (lies_within(at, w->roots[i]) && !lies_within(from, w->roots[i]));
  free(from);
  free(at);
  return seen;
}

// Whether a folder is to be entered: no hidden one, none of what BIDS folders hold beside the scans.
static bool enters(walk *w, const char *folder, const char *path, const char *name) {
  struct stat info;
  if (name[0] == '.' || strcmp(name, "derivatives") == 0 || strcmp(name, "sourcedata") == 0)
    return false;
  if (lstat(path, &info) != 0) return false;
  if (S_ISDIR(info.st_mode)) return !seen_before(w, folder, path);
  return S_ISLNK(info.st_mode) && sb_is_folder(path) && leads_elsewhere(w, path);
}

static sb_status find_among(walk *w, const char *folder, const char *below, char *const *names,
                            size_t count, int depth);

// Of the scans from the first on, found in a BIDS folder.
static void drop_seen_before(walk *w, const char *folder, size_t first) {
  sb_scan_list *list = w->finder->list;
  size_t kept = first;
  for (size_t i = first; i < list->count; i++)
    if (seen_before(w, folder, list->scans[i].source_path))
      sb_scan_release(&list->scans[i]);
    else
      list->scans[kept++] = list->scans[i];
  list->count = kept;
}

// A BIDS folder on the way is a dataset of its own, unless there is nothing in it as BIDS has it.
static sb_status find_in_bids_on_the_way(walk *w, const char *folder, const char *below) {
  sb_finder *f = w->finder;
  const char *given = f->options->dataset;
  char *dataset = given != NULL ? sb_strdup(given) : as_name(sb_strdup(below));
  if (dataset == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  const size_t first = f->list->count, before = first + f->list->left_out_count;
  sb_status status = sb_find_in_bids(f, folder, dataset);
  drop_seen_before(w, folder, first);
  const size_t count = f->list->count + f->list->left_out_count - before;
  if (status.code == SB_OK && count > 0)
    status = sb_finder_note(f, "%s: a BIDS folder, taken as dataset \"%s\"", folder, dataset);
  free(dataset);
  return status;
}

static sb_status find_in_one(walk *w, const char *folder, const char *below, const char *name,
                             int depth) {
  sb_finder *f = w->finder;
  char **names = NULL, *path = sb_path_join(folder, name);
  char *further = below[0] == '\0' ? sb_strdup(name) : sb_path_join(below, name);
  const size_t before = f->list->count + f->list->left_out_count;
  size_t count = 0;
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  if (path == NULL || further == NULL) goto cleanup;
  status = sb_ok();
  if (!enters(w, folder, path, name)) goto cleanup;
  if (depth > MOST_DEPTH) {
    status = sb_tally_add(&f->too_deep, path);
    goto cleanup;
  }
  status = sb_list_folder(path, &names, &count);
  if (status.code != SB_OK) {
    status = sb_finder_leave_out(f, status);
    goto cleanup;
  }
  if (sb_bids_has_subjects(path, names, count)) SB_TRY(find_in_bids_on_the_way(w, path, further));
  if (f->list->count + f->list->left_out_count == before)
    SB_TRY(find_among(w, path, further, names, count, depth));
cleanup:
  sb_free_names(names, count);
  free(path);
  free(further);
  return status;
}

// A store's template and mask are no scans.
static bool is_store(char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], "store.json") == 0) return true;
  return false;
}

// The images among the names in a folder, and those in its folders.
//   below  the folder's path from the given one on
static sb_status find_among(walk *w, const char *folder, const char *below, char *const *names,
                            size_t count, int depth) {
  sb_status status = sb_ok();
  if (is_store(names, count)) return status;
  SB_TRY(find_images(w, folder, below, names, count));
  if (depth == 0) SB_TRY(add_found(w, NULL));
  for (size_t i = 0; i < count; i++) {
    SB_TRY(find_in_one(w, folder, below, names[i], depth + 1));
    if (depth == 0) SB_TRY(add_found(w, names[i]));
  }
cleanup:
  return status;
}

sb_status sb_find_in_tree(sb_finder *f, const char *folder, char *const *names, size_t count,
                          const char *dataset) {
  walk w = {.finder = f, .folder = folder, .dataset = dataset};
  sb_status status;
  leads_elsewhere(&w, folder); // the first root
  SB_TRY(find_among(&w, folder, "", names, count, 0));
  SB_TRY(note_labels(&w));
cleanup:
  for (size_t i = 0; i < w.found_count; i++) {
    free(w.found[i].path);
    free(w.found[i].below);
  }
  free(w.found);
  sb_free_names(w.roots, w.root_count);
  free(w.person);
  free(w.group);
  return status;
}
