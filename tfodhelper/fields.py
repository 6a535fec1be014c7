"""Names, dtypes, shapes and units of every record feature and tensor key.

Boxes are float32 [ymin, xmin, ymax, xmax], continuous; an image covers [0, height] x [0, width]. "Normalized" means
divided by the height and width of the named frame. Shape letters: B batch, M ground truth rows (padded),
A anchors, K classes without background, D detections, P proposals.
"""


class Record:
    """Features of one tf.train.Example, named as the Object Detection API names them."""

    HEIGHT = "image/height"  # int64 scalar, pixels of the encoded image
    WIDTH = "image/width"  # int64 scalar
    FILENAME = "image/filename"  # bytes, the image's path relative to the data folder, POSIX
    SOURCE_ID = "image/source_id"  # bytes, a decimal number, unique in the set
    KEY = "image/key/sha256"  # bytes, hex digest of the encoded image
    ENCODED = "image/encoded"  # bytes, JPEG or PNG data
    FORMAT = "image/format"  # bytes, b"jpeg" or b"png", determined from the content
    XMIN = "image/object/bbox/xmin"  # float list, normalized to the image
    XMAX = "image/object/bbox/xmax"
    YMIN = "image/object/bbox/ymin"
    YMAX = "image/object/bbox/ymax"
    CLASS_TEXT = "image/object/class/text"  # bytes list
    CLASS_LABEL = "image/object/class/label"  # int64 list, 1-based ids of the label map
    DIFFICULT = "image/object/difficult"  # int64 list
    TRUNCATED = "image/object/truncated"  # int64 list
    VIEW = "image/object/view"  # bytes list, the pose
    IS_CROWD = "image/object/is_crowd"  # int64 list
    GROUP_OF = "image/object/group_of"  # int64 list, boxes around a group of objects (Open Images)
    AREA = "image/object/area"  # float list, square pixels
    WEIGHT = "image/object/weight"  # float list; 0: an ignored region
    LOCATION_WEIGHT = "image/object/bbox/weight"  # float list, factors of the former where corners are learned; ours
    MASK = "image/object/mask"  # bytes list, a PNG of the whole image per object, 0 is background; or float list,
    # [objects, height, width], 0 or 1
    MASK_WEIGHT = "image/object/mask/weight"  # float list; 0: the object has no mask
    IMAGE_CLASS_TEXT = "image/class/text"  # bytes list, classes verified to be in the image, or not (Open Images)
    IMAGE_CLASS_LABEL = "image/class/label"  # int64 list, 1-based ids of the same


class Inputs:
    """Keys of the features that the input pipeline passes to a detector."""

    IMAGE = "image"  # float32 [B, height, width, 3], 0..255, resized and padded to the model input
    TRUE_IMAGE_SHAPE = "true_image_shape"  # int32 [B, 3], height and width before padding, channels
    ORIGINAL_IMAGE_SHAPE = "original_image_shape"  # int32 [B, 2], height and width of the stored image
    ORIGINAL_IMAGE = "original_image"  # uint8 [B, height, width, 3], only where images are drawn
    FILENAME = "filename"  # string [B]
    SOURCE_ID = "source_id"  # string [B]
    STORED_MASKS = (
        "stored_masks"  # string [B, M], PNGs as large as the stored image, "" where there is no mask; only in
    )
    # evaluation, and if masks are read
    VERIFIED = "verified_classes"  # int32 [B, V], 0-based, of `Record.IMAGE_CLASS_LABEL`; padding: -1; in evaluation


class Groundtruth:
    """Keys of the labels; rows past `NUM_BOXES` are padding."""

    BOXES = "groundtruth_boxes"  # float32 [B, M, 4], normalized to the padded model input; padding: zeros
    CLASSES = "groundtruth_classes"  # int32 [B, M], 0-based; padding: -1
    WEIGHTS = "groundtruth_weights"  # float32 [B, M]; padding and ignored regions: 0
    LOCATION_WEIGHTS = "groundtruth_location_weights"  # float32 [B, M], factors of `WEIGHTS` in the loss of the
    # corners and of the mask: 0 for an object whose place is doubtful; padding: 0
    DIFFICULT = "groundtruth_difficult"  # bool [B, M]
    IS_CROWD = "groundtruth_is_crowd"  # bool [B, M]
    GROUP_OF = "groundtruth_group_of"  # bool [B, M]
    AREA = "groundtruth_area"  # float32 [B, M], square pixels of the stored image
    MASKS = "groundtruth_masks"  # uint8 [B, M, height, width], 0 or 1, in the frame of the padded model input; padding
    # and objects without a mask: zeros; only where `load_instance_masks` is set
    MASK_WEIGHTS = "groundtruth_mask_weights"  # float32 [B, M]; 0 for padding and objects without a mask
    NUM_BOXES = "num_groundtruth_boxes"  # int32 [B]


class Predictions:
    """Keys of the raw predictions. Some exist only in two-stage detectors; N = B x P, the rows of all proposals."""

    FEATURE_MAPS = "feature_maps"  # list of float32 [B, h, w, c]
    ANCHORS = "anchors"  # float32 [A, 4], normalized to the padded model input; two stages: in pixels of it
    BOX_CODES = "box_encodings"  # float32 [B, A, 4]
    CLASS_LOGITS = "class_predictions_with_background"  # float32 [B, A, K + 1], K without background; or [N, K + 1]
    IMAGE_SHAPE = "image_shape"  # int32 [4], the shape of the model inputs
    RPN_FEATURES = "rpn_box_predictor_features"  # list of float32 [B, h, w, c]
    RPN_BOX_CODES = "rpn_box_encodings"  # float32 [B, A, 4]
    RPN_LOGITS = "rpn_objectness_predictions_with_background"  # float32 [B, A, 2], background first
    PROPOSALS = "proposal_boxes_normalized"  # float32 [B, P, 4], normalized to the padded model input, best first (as
    # drawn in training); padding: zeros
    PROPOSALS_PX = "proposal_boxes"  # float32 [B, P, 4], in pixels of the padded model input
    NUM_PROPOSALS = "num_proposals"  # int32 [B]
    PROPOSAL_ANCHORS = "proposal_anchor_indices"  # int32 [B, P], rows of `ANCHORS`; not in training
    CLASSIFIER_FEATURES = "box_classifier_features"  # float32 [N, h, w, c]; of R-FCN [B, h, w, c]
    REFINED_BOX_CODES = "refined_box_encodings"  # float32 [N, 1 or K, 4]
    MASK_LOGITS = "mask_predictions"  # float32 [N, 1 or K, mask height, mask width]; of detections N = B x D


class Detections:
    """Keys of detections, in the model, in SavedModels and in predictions."""

    BOXES = "detection_boxes"  # float32 [B, D, 4], normalized to the original image
    SCORES = "detection_scores"  # float32 [B, D], descending
    CLASSES = "detection_classes"  # float32 [B, D]; 0-based in the model, 1-based in exports
    MASKS = "detection_masks"  # float32 [B, D, mask height, mask width], 0 to 1, each in the frame of its own box
    NUM = "num_detections"  # float32 [B]
    MULTICLASS_SCORES = "detection_multiclass_scores"  # float32 [B, D, K + 1]
    ANCHOR_INDICES = "detection_anchor_indices"  # float32 [B, D]
    RAW_BOXES = "raw_detection_boxes"  # float32 [B, A, 4]
    RAW_SCORES = "raw_detection_scores"  # float32 [B, A, K + 1]


class Prepared:
    """Keys of the SavedModel's signatures for `prediction`, in addition to those of `Detections`."""

    INPUTS = "inputs"  # float32 [height, width, 3] of one image; [B, height, width, 3] of a batch
    TRUE_IMAGE_SHAPE = "true_image_shape"  # int32 [3], height and width of the input without padding, channels
    TRUE_IMAGE_SHAPES = "true_image_shapes"  # int32 [B, 3]
    SCORE_THRESHOLD = "score_threshold"  # float32 scalar; only detections with a higher score are returned
    FEATURES = "features"  # float32 [B, D], one vector per image
    FEATURE_MAP = "feature_map_{}"  # float32 [B, h, w, c], of the backbone, numbered from 0


class Losses:
    """Names of the losses, which are also their TensorBoard tags."""

    LOCALIZATION = "Loss/localization_loss"
    CLASSIFICATION = "Loss/classification_loss"
    RPN_LOCALIZATION = "Loss/RPNLoss/localization_loss"
    RPN_OBJECTNESS = "Loss/RPNLoss/objectness_loss"
    BOX_LOCALIZATION = "Loss/BoxClassifierLoss/localization_loss"
    BOX_CLASSIFICATION = "Loss/BoxClassifierLoss/classification_loss"
    MASK = "Loss/BoxClassifierLoss/mask_loss"
    REGULARIZATION = "Loss/regularization_loss"
    TOTAL = "Loss/total_loss"
